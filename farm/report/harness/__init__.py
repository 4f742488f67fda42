"""Reports of a run over the files of a suite."""
