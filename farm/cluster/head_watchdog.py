"""Notices that the head node of the cluster is gone, before Ray does.

Trials under way survive the head for a while, but nothing new can be leased, and after 60 s Ray ends the driver's
process from a thread of its own with exit code 1, which here means that the kernel failed. So the farm looks first,
ends the run as errored, and leaves without asking Ray for anything that would wait for the head.
"""

from __future__ import annotations

import socket
import threading
import time

from farm.errors import InfrastructureError

# Ray gives up 60 s after it lost the head (gcs_rpc_server_reconnect_timeout_s), and a head with a durable store may be
# back before that; between the two there must be time left to write the reports.
LOST_AFTER_S = 30.0
_LOOK_S = 2.0


class HeadLostError(InfrastructureError):
    """The cluster's head node does not answer any more."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__(f"the head node of the cluster, {address}, has not answered for {LOST_AFTER_S:g} s")


class HeadWatchdog:
    """Looks at the head's port in the background until `stop`."""

    def __init__(self, address: str, lost_after_s: float = LOST_AFTER_S, look_s: float = _LOOK_S) -> None:
        """`address` is host:port of Ray's control service."""
        self.address = address
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._lost_after_s = lost_after_s
        self._look_s = look_s
        self._answered = time.monotonic()
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

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(self._look_s):
            try:
                with socket.create_connection((self._host.strip("[]"), self._port), timeout=self._look_s):
                    self._answered = time.monotonic()
            except OSError:
                continue  # refused, unreachable, or silent: told by how long ago it last answered
