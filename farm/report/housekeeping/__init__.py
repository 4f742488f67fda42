"""Removing old files. The store keeps every number, so nothing that is pruned is missing from a trend or a baseline."""
