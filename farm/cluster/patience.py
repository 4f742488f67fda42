"""Starts of Ray on a machine that is busy: one that is too slow is ended and begun again.

Ray gives a node a fixed 30 s to start, which no setting of Ray's changes; and what made the machine slow is often over
soon.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import psutil

from farm.cluster import ray_internals

STARTS = 3
_TOO_SLOW = "timed out during startup"

Started = TypeVar("Started")


def started(start: Callable[[], Started]) -> Started:
    """Return what `start` returns, at the latest when it is called for the third time. Raises what it raises."""
    for again in reversed(range(STARTS)):
        before = {child.pid for child in psutil.Process().children()}
        try:
            return start()
        except Exception as error:  # Ray raises a bare one
            if not (again and too_slow(error)):
                raise
            print("farm: Ray was too slow to start on this busy machine; trying again", file=sys.stderr, flush=True)
            ray_internals.kill_half_started(before)
    raise AssertionError("the last start returns or raises")


def too_slow(error: Exception) -> bool:
    """Whether `error` is Ray's for a node that has not started within its limit."""
    return _TOO_SLOW in str(error)
