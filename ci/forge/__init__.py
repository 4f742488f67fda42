"""Forges: they host the repositories and receive the verdicts."""
