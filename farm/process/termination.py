"""Ending processes that are not children of this one, and never another that has since got their number."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Collection
from pathlib import Path

from farm.errors import InfrastructureError
from farm.process import identity
from farm.process.identity import ProcessIdentity

POLITE_S = 10.0  # between SIGTERM and SIGKILL
DEADLINE_S = 10.0  # for the kernel to end what got SIGKILL


def end_session(leader: ProcessIdentity, known: Collection[ProcessIdentity], polite: bool = True) -> None:
    """End `leader`, which leads a session, and whatever else runs in that session; `polite` gives it time to do so.

    `known` were in the session at some time: after the leader's death one of them, still in it, proves that the session
    of that number is the same. Raises `InfrastructureError` where something cannot be ended.
    """
    proofs = {*known, *(() if leader.gone() else members(leader))}
    if polite:
        _end([leader], signal.SIGTERM, POLITE_S)
    deadline = time.monotonic() + DEADLINE_S
    while left := _session(leader, proofs):  # again, because a process may start another while it is being ended
        if time.monotonic() > deadline:
            raise InfrastructureError(f"processes {', '.join(str(each.pid) for each in left)} cannot be ended")
        proofs.update(left)
        _end(left, signal.SIGKILL, DEADLINE_S)


def members(leader: ProcessIdentity) -> list[ProcessIdentity]:
    """The live processes of the session with the number of `leader`."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    found = [identity.of(pid) for pid in pids if _session_of(pid) == leader.pid]
    return [process for process in found if process.started]


def _end(processes: list[ProcessIdentity], number: signal.Signals, timeout_s: float) -> None:
    """Send the signal and wait until they have ended, or for `timeout_s`."""
    waiting = select.poll()
    pending: set[int] = set()
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(process.pid)
            if process.gone():  # asked only now: from here on the descriptor holds on to this very process
                os.close(descriptor)
                continue
            pending.add(descriptor)
            waiting.register(descriptor, select.POLLIN)
            signal.pidfd_send_signal(descriptor, number)
    deadline = time.monotonic() + timeout_s
    while pending and (left_s := deadline - time.monotonic()) > 0:
        for descriptor, _ in waiting.poll(left_s * 1000):
            waiting.unregister(descriptor)
            pending.remove(descriptor)
            os.close(descriptor)
    for descriptor in pending:
        os.close(descriptor)


def _session(leader: ProcessIdentity, proofs: set[ProcessIdentity]) -> list[ProcessIdentity]:
    """The live processes of the session `leader` leads or led; none where that is not certain.

    The kernel gives a session's number to no new process while the session has one; but once it is empty, it may.
    """
    found = members(leader)
    return found if not leader.gone() or proofs & set(found) else []


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return 0
