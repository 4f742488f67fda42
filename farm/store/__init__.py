"""The database of runs and device health."""
