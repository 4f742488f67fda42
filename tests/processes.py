"""What tests that start processes ask of the machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import psutil

MARK = "FARM_TESTED_BY"  # in the environment of processes a test starts: its own process, as tests run side by side


def forking_context() -> ForkServerContext:
    """Starts processes that need not load the store: they are forked from one that has."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "farm.store.run_store", "tests.farm.samples"])
    return context


@contextlib.contextmanager
def importing_tests(*others: Path) -> Iterator[None]:
    """Let processes of a cluster that is started within it import `tests`: no worker imports from where a driver is.

    What is in the directories `others` is found as well.
    """
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (*others, Path(__file__).parents[1])))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def left_behind(home: str) -> list[str]:
    """Command lines of processes that still work for the farm at `home`, this one left out."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("FARM_HOME") == home and process.pid != os.getpid():
                found.append(" ".join(process.cmdline()))
    return found


def running_for_this_test() -> list[psutil.Process]:
    """Processes that carry the mark of this test process."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == str(os.getpid()):
                found.append(process)
    return found
