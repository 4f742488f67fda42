"""Mutation testing: change the code that judges, one place at a time, and see whether a test notices."""
