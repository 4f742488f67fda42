"""A pytest plugin that runs in a foreign suite's own Python. Its directory is put on that process's PYTHONPATH."""
