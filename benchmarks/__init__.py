"""Scripts that measure; each prints what it measured and compares within one run."""
