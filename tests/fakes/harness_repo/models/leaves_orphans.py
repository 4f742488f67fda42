"""Passes, and leaves a process behind that has detached itself."""

from golden import arguments, begin, detached, passed, ran

if __name__ == "__main__":
    arguments()
    begin("LeavesOrphans")
    detached("orphan.pid")
    ran()
    passed()
