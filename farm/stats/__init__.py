"""Statistics as pure functions on numbers."""
