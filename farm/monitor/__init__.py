"""Runs and devices as they are now."""
