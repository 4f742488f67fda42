"""Whether other work kept the machine busy during a benchmark. Every benchmark that measures host time says it.

Two observations. The load average of the minute before the benchmark, because what it began beside is seen there. And
the processor time that others took while it ran: all of the machine's, less that of the benchmark's own process tree,
read once a second. Where either is above its limit, the numbers are marked as not to be quoted. A ratio of two arms of
one run is disturbed less than a time, but it is marked as well.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

import psutil

IDLE_LOAD = 0.25  # a processor, in the minute before
IDLE_SHARE = 0.1  # of all processor time, taken by others meanwhile
_SAMPLE_S = 1.0
_STAT = Path("/proc/stat")
_TICKS = os.sysconf("SC_CLK_TCK")
_OTHERS = ("idle", "iowait")  # ticks that nobody worked in
_FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when a benchmark ran, and what else ran there."""

    measured_at: str  # UTC
    cpu: str
    cores: int
    memory_gb: int
    python: str
    load_before: float  # a processor
    others_share: float  # of all processor time while it ran

    @property
    def busy(self) -> bool:
        """Whether its numbers are not to be quoted."""
        return self.load_before > IDLE_LOAD or self.others_share > IDLE_SHARE

    @property
    def verdict(self) -> str:
        """The line below a benchmark's numbers."""
        seen = f"load {self.load_before:.2f} a processor before, others took {self.others_share:.0%} of it meanwhile"
        where = f"{self.cores} processors, Python {self.python}, {self.measured_at}"
        if self.busy:
            return f"busy machine: {seen}; do not quote these numbers ({where})"
        return f"idle machine: {seen} ({where})"

    def as_dict(self) -> dict[str, object]:
        """For JSON: every field, and `quotable`."""
        return {**asdict(self), "quotable": not self.busy}


class MachineWatch:
    """Watches until `stop`; `machine` is what was seen so far."""

    def __init__(self) -> None:
        self._load = os.getloadavg()[0] / _cores()
        self._at = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
        self._busy_s, self._begun = busy_seconds(_STAT.read_text()), time.monotonic()
        self._last, self._own_s = _tree_seconds(), 0.0
        self._seen: Machine | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; `machine` does not change from now on."""
        self._stopped.set()
        self._thread.join()
        self._seen = self._look()

    @property
    def machine(self) -> Machine:
        """What was seen from the start to the end, or until now."""
        return self._seen or self._look()

    def _look(self) -> Machine:
        seconds = (time.monotonic() - self._begun) * _cores()
        self._sample()
        others_s = busy_seconds(_STAT.read_text()) - self._busy_s - self._own_s
        return Machine(
            measured_at=self._at,
            cpu=_cpu(),
            cores=_cores(),
            memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
            python=platform.python_version(),
            load_before=round(self._load, 3),
            others_share=round(min(1.0, max(0.0, others_s / seconds)), 3) if seconds else 0.0,
        )

    def _watch(self) -> None:
        while not self._stopped.wait(_SAMPLE_S):
            self._sample()

    def _sample(self) -> None:
        """Add what the tree took since the last look. A sum that fell has lost a process whose time went nowhere."""
        seen = _tree_seconds()
        self._own_s += max(0.0, seen - self._last)
        self._last = seen


@contextmanager
def watched() -> Iterator[MachineWatch]:
    """Watch the machine during the block; read `machine` at its end or after it."""
    watch = MachineWatch()
    try:
        yield watch
    finally:
        watch.stop()


def busy_seconds(stat: str) -> float:
    """Processor seconds that were not idle since boot, from the text of /proc/stat; time stolen by a host included."""
    ticks = dict(zip(_FIELDS, map(int, stat.split("\n", 1)[0].split()[1:]), strict=False))
    return sum(count for name, count in ticks.items() if name not in _OTHERS) / _TICKS


def _tree_seconds() -> float:
    """Processor seconds of this process, of all below it, and of those that they have waited for."""
    own = psutil.Process()
    spent = 0.0
    for process in [own, *own.children(recursive=True)]:
        with suppress(psutil.Error):  # it ended meanwhile, and is counted with its parent
            times = process.cpu_times()
            spent += times.user + times.system + times.children_user + times.children_system
    return spent


def _cores() -> int:
    return os.cpu_count() or 1


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
