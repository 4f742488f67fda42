"""Hunts down whatever keeps an eye on it, and leaves a process behind."""

import os
import signal

from golden import arguments, begin, detached, sleep_for_ever

if __name__ == "__main__":
    arguments()
    begin("KillsItsKeeper")
    detached("orphan.pid")
    os.kill(os.getppid(), signal.SIGKILL)
    sleep_for_ever()
