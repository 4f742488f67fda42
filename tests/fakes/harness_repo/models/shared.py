"""What several kernels have in common; no kernel by itself."""

SCALE = 2.0
