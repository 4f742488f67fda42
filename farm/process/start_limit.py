"""How long a process may take to start on a host, by how busy that host is, and the error where it takes longer.

A fresh process imports torch and PyPTO and runs a canary: seconds on an idle host, minutes on a full one. That a host
is full says nothing about its devices.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from farm.errors import InfrastructureError, UsageError

VARIABLE = "FARM_START_LIMIT"
START_S = 240.0
_LEAST_S, _MOST_S = 1.0, 3600.0
_MOST_FACTOR = 4.0  # a host with more to do than that for each processor is not waited for any longer
_LOOK_S = 5.0  # how often the load of this machine is looked at
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class HostLoad:
    """How busy a host was at some moment."""

    machine: str  # the same in every process of the machine, in containers too, which share its load
    running: float  # processes that ran or wanted to, mean of the last minute
    processors: int

    @classmethod
    def here(cls) -> HostLoad:
        """The load of this machine, now."""
        machine = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""
        return cls(machine, os.getloadavg()[0], os.cpu_count() or 1)

    @property
    def factor(self) -> float:
        """How many times as long as on an idle host a start may take there, 1 to `_MOST_FACTOR`."""
        return min(_MOST_FACTOR, max(1.0, self.running / self.processors))

    def now(self) -> HostLoad:
        """The same host's load by now, where that can be known here; else as it was."""
        here = HostLoad.here()
        return here if self.machine and here.machine == self.machine else self


class HostOverloadedError(InfrastructureError):
    """A host has not started a process in time. No device is at fault."""

    def __init__(self, host: str, waited_for: str, limit_s: float, load: HostLoad | None, node_id: str = "") -> None:
        """`load` is None where it is not known; `node_id` is Ray's, "" without Ray."""
        self.host = host
        self.node_id = node_id
        remedy = f"or give it longer with {VARIABLE} ({limit_s_of_idle():g} s on an idle host)"
        late = f"{waited_for} did not start within {limit_s:.0f} s"
        if load is None:
            said = f"host {host} is overloaded or stopped: {late}; see what it does, {remedy}"
        elif load.running > load.processors:
            busy = f"load {load.running:.1f} on {load.processors} processors"
            said = f"host {host} is overloaded ({busy}): {late}; try again when it has less to do, {remedy}"
        else:
            idle = f"load {load.running:.1f} on {load.processors} processors"
            said = f"host {host} is too slow ({idle}): {late}; see what its disk and memory do, {remedy}"
        super().__init__(said)


def limit_s_of_idle() -> float:
    """Seconds for a start on an idle host: `$FARM_START_LIMIT`. Raises `UsageError`."""
    text = os.environ.get(VARIABLE, f"{START_S:g}")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not _LEAST_S <= seconds <= _MOST_S:
        raise UsageError(f"{VARIABLE} is '{text}'; use a number of seconds from {_LEAST_S:g} to {_MOST_S:g}")
    return seconds


def exceeded(ended: Callable[[float], bool], load: HostLoad | None, share: float = 1.0) -> float | None:
    """Return None once the start has ended, or the limit in seconds where it has not ended within it.

    Args:
        ended: Waits up to so many seconds; returns whether the start has ended, well or not.
        load: Of the host, as last known; looked at again while this waits where it is this machine's. None where it is
            not known: then this machine's counts, whose processes have a part in the start.
        share: Of the limit, for what takes less than a worker.

    Raises:
        UsageError: The limit that is set cannot be used.
    """
    begin = time.monotonic()
    while not ended(_LOOK_S):
        limit_s = share * limit_s_of_idle() * (load.now() if load is not None else HostLoad.here()).factor
        if time.monotonic() - begin >= limit_s:
            return limit_s
    return None
