"""What is under test: kernels, their goldens and tolerances, and the platforms that build and run them.

This layer knows nothing of Ray, HTTP or databases; everything in it can be called from a REPL.
"""
