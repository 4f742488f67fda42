"""What records say: trends, drift, comparison, stages, critical path."""
