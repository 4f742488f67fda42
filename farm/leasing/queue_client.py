"""A run's own place in the line for the devices of a shared cluster; see `farm.leasing.device_queue`."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import time
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError

from farm.cluster import head_call
from farm.errors import InfrastructureError
from farm.leasing.device_queue import DeviceQueue, QueueEntry
from farm.model.priority import Priority

# The number changes with the methods of Turnstile: runs of two versions of the farm must not share an actor.
_NAME, _NAMESPACE = "farm-device-queue-2", "farm"


class QueueClient:
    """Keeps one run's place in the queue. A private cluster, started for one run alone, has no queue."""

    def __init__(self, priority: Priority, purpose: str, shared: bool) -> None:
        self.priority = priority
        self._purpose = purpose
        self._turnstile: Any = head_call.bounded("find the device queue", _turnstile) if shared else None
        self._ticket = ""
        self._since = 0.0

    def ahead(self, count: int) -> list[QueueEntry]:
        """Return who goes before this run, which wants `count` devices; the first call joins the queue.

        Raises `InfrastructureError` where the cluster does not answer.
        """
        if self._turnstile is None:
            return []
        if not self._ticket:
            self._ticket, self._since = secrets.token_hex(8), time.monotonic()
        waited_s = time.monotonic() - self._since
        return list(self._call("ask", QueueEntry(self._ticket, self.priority, count, waited_s, _who(self._purpose))))

    def leave(self) -> None:
        """Step out of the line. Never fails: a place nobody asks for is forgotten anyway."""
        if self._turnstile is not None and self._ticket:
            self._turnstile.leave.remote(self._ticket)
        self._ticket = ""

    def close(self, limit_s: float) -> None:
        """Leave the queue. Raises `HeadSilentError` after `limit_s`."""
        head_call.bounded("leave the device queue", self.leave, limit_s=limit_s)

    @property
    def yields(self) -> bool:
        """Whether this run gives its devices up between two trials where somebody who goes first waits."""
        return self._turnstile is not None and self.priority.yields

    def wanted(self) -> list[QueueEntry]:
        """Those for whom this run should give its devices up now; none where its priority does not yield."""
        if not self.yields:
            return []
        return list(self._call("before", self.priority))

    def _call(self, method: str, *arguments: object) -> Any:
        try:
            return ray.get(getattr(self._turnstile, method).remote(*arguments), timeout=head_call.answer_s())
        except (RayError, GetTimeoutError) as error:
            raise InfrastructureError(f"the line for devices does not answer: {type(error).__name__}") from error


def waiting() -> list[QueueEntry]:
    """Return all tickets of the connected cluster's queue, the first one first; empty where none was ever drawn."""
    try:
        turnstile = head_call.bounded("find the device queue", ray.get_actor, _NAME, _NAMESPACE)
        return list(ray.get(turnstile.line.remote(), timeout=head_call.answer_s()))
    except (ValueError, RayError):
        return []


def _turnstile() -> Any:
    """The cluster's one turnstile, made by the first client. It outlives its maker, holding nothing."""
    actor = ray.remote(DeviceQueue).options(
        name=_NAME,
        namespace=_NAMESPACE,
        lifetime="detached",
        get_if_exists=True,
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=-1,
    )
    return actor.remote()


def _who(purpose: str) -> str:
    return f"{getpass.getuser()}@{socket.gethostname()} pid {os.getpid()}: {purpose}"
