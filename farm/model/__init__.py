"""The records and values that every other package uses."""
