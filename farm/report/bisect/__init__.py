"""Reports of a bisect."""
