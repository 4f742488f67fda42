"""The nightly sweep: every healthy device runs the same cases, and the bits of all of them are compared."""
