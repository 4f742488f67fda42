"""What `farm run` does."""
