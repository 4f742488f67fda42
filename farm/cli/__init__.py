"""The command line: one command a file, and nothing in it but reading options, calling the farm and printing."""
