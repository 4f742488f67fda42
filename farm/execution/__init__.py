"""Trials on a lease: plan, dispatch, failure policy, recovery, deadlines, progress."""
