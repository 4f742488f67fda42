"""Isolation of code that is not trusted."""
