"""Notices that the head node of the cluster is gone, before Ray does.

Trials under way survive the head for a while, but nothing new can be leased, and after 60 s Ray ends the driver's
process from a thread of its own with exit code 1, which here means that the kernel failed. So the farm looks first,
ends the run as errored, and leaves without asking Ray for anything that would wait for the head. What counts is an
answer of the head's service: the port of a head that is stopped stays open.
"""

from __future__ import annotations

import os
import threading
import time

from farm.cluster import endpoint_check
from farm.errors import InfrastructureError, UsageError

# Ray gives up 60 s after it lost the head, and a head with a durable store may be back before that; between the two
# there must be time left to write the reports.
LOST_AFTER_S = 30.0
VARIABLE = "FARM_HEAD_LOST_AFTER"
_RAYS_VARIABLE = "RAY_gcs_rpc_server_reconnect_timeout_s"
_RAYS_LIMIT_S = 60.0  # its default
_REPORTING_S = 10.0
_LOOK_S = 2.0
_LEAVING_S = 2.0  # what a head may take to answer before it is worth asking it for an orderly end


def lost_after_s() -> float:
    """Seconds without an answer after which the head counts as lost: `$FARM_HEAD_LOST_AFTER`. Raises `UsageError`."""
    text = os.environ.get(VARIABLE, f"{LOST_AFTER_S:g}")
    most = _seconds(os.environ.get(_RAYS_VARIABLE, ""), _RAYS_LIMIT_S) - _REPORTING_S
    seconds = _seconds(text, 0.0)
    if not 1 <= seconds <= most:
        raise UsageError(
            f"{VARIABLE} is '{text}'; use a number of seconds from 1 to {most:g}, {_REPORTING_S:g} less than Ray's own "
            f"limit, {_RAYS_VARIABLE}"
        )
    return seconds


def _seconds(text: str, default: float) -> float:
    try:
        return float(text)
    except ValueError:
        return default


class HeadLostError(InfrastructureError):
    """The cluster's head node does not answer any more."""

    def __init__(self, address: str, silent_s: float = LOST_AFTER_S) -> None:
        self.address = address
        super().__init__(f"the head node of the cluster, {address}, has not answered for {silent_s:g} s")


class HeadWatchdog:
    """Asks the head's service in the background until `stop`."""

    def __init__(self, address: str, lost_after_s: float = LOST_AFTER_S, look_s: float = _LOOK_S) -> None:
        """`address` is host:port of Ray's control service."""
        self.address = address
        self._lost_after_s = lost_after_s
        self._look_s = look_s
        self._answered = time.monotonic()
        self.silent = False  # whether the last question of `answers` had no answer
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="head-watch", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether the head has not answered for too long."""
        return time.monotonic() - self._answered > self._lost_after_s

    def check(self) -> None:
        """Raise `HeadLostError` where the head is lost."""
        if self.lost:
            raise HeadLostError(self.address, self._lost_after_s)

    def answers(self) -> bool:
        """Ask the head now. False where it does not answer within two seconds."""
        self.silent = self.lost or not endpoint_check.answers(self.address, _LEAVING_S)
        return not self.silent

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(self._look_s):
            if endpoint_check.answers(self.address, self._look_s):
                self._answered = time.monotonic()
