"""Processes that start with torch and a platform loaded: forks of one process that has loaded them and runs nothing.

A fork copies one thread. So the process that is forked runs none of a kernel's code and has one thread only, which is
checked before each fork; where it has more, it is itself used up as the process that was asked for.
"""
