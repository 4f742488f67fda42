"""Deliveries to the forge, sent until they arrive."""
