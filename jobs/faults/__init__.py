"""The table of faults, and how a failure is classified by it."""
