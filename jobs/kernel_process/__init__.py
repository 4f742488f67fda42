"""Asks a kernel that is not the installation's own about itself, in a process of its own.

A kernel file and a plug-in are foreign code: they may end their process, loop, or print without end, and none of that
may reach the process that decides the exit code.
"""
