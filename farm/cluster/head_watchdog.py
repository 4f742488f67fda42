"""Notices that the head node of the cluster is gone, before Ray does.

Trials under way survive the head for a while, but nothing new can be leased, and after 60 s Ray ends the driver's
process from a thread of its own with exit code 1, which here means that the kernel failed. So the farm looks first,
ends the run as errored, and leaves without asking Ray for anything that would wait for the head. What counts is an
answer of the head's service: the port of a head that is stopped stays open.
"""

from __future__ import annotations

import threading
import time

from farm.cluster import endpoint_check
from farm.errors import InfrastructureError

# Ray gives up 60 s after it lost the head (gcs_rpc_server_reconnect_timeout_s), and a head with a durable store may be
# back before that; between the two there must be time left to write the reports.
LOST_AFTER_S = 30.0
_LOOK_S = 2.0
_LEAVING_S = 2.0  # what a head may take to answer before it is worth asking it for an orderly end


class HeadLostError(InfrastructureError):
    """The cluster's head node does not answer any more."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__(f"the head node of the cluster, {address}, has not answered for {LOST_AFTER_S:g} s")


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
            raise HeadLostError(self.address)

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
