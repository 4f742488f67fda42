"""Gates: pure functions from trials to findings."""
