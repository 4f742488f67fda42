"""Operating-system processes: which one it is, and how it is ended."""
