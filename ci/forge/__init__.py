"""Forges: what hosts the repositories, and is told the verdicts."""
