"""External kernel harnesses: how one is described, run, and read. A harness is described by a profile, not by code."""
