"""Reaching Ray: the connection, the head watchdog, local clusters."""
