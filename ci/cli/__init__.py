"""The service's commands of `farm`, found there through the entry points `farm.commands`.

`farm --help` imports these files, so each imports the service itself only when it is called.
"""
