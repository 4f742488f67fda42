"""Kernels in pytest suites: leases for tests, the assertions, and what `farm test` does with a finished suite."""
