"""Carries out jobs: a checkout, a run in a process of its own, its outcome."""
