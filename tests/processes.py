"""What tests that start processes ask of the machine."""

from __future__ import annotations

import contextlib
import os

import psutil


def left_behind(home: str) -> list[str]:
    """Command lines of processes that still work for the farm at `home`, this one left out."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("FARM_HOME") == home and process.pid != os.getpid():
                found.append(" ".join(process.cmdline()))
    return found
