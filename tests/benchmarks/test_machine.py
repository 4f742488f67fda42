"""A benchmark says when the machine was busy: before it, or with other work meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from benchmarks.machine import IDLE_LOAD, IDLE_SHARE, Machine, MachineWatch, busy_seconds

IDLE = Machine("2026-11-30 12:00 UTC", "a processor", 2, 8, "3.11.2", load_before=0.1, others_share=0.02)
BURN = "import time; end = time.process_time() + {seconds}\nwhile time.process_time() < end: pass"


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        sum(range(1000))


@pytest.mark.parametrize(
    ("machine", "word", "quotable"),
    [
        (IDLE, "idle machine: ", True),
        (replace(IDLE, load_before=IDLE_LOAD, others_share=IDLE_SHARE), "idle machine: ", True),
        (replace(IDLE, load_before=IDLE_LOAD + 0.01), "busy machine: ", False),
        (replace(IDLE, others_share=IDLE_SHARE + 0.01), "busy machine: ", False),
    ],
)
def test_a_load_before_or_other_work_meanwhile_makes_numbers_not_quotable(
    machine: Machine, word: str, quotable: bool
) -> None:
    assert machine.verdict.startswith(word)
    assert ("do not quote these numbers" in machine.verdict) is not quotable
    assert machine.as_dict()["quotable"] is quotable


def test_the_verdict_says_where_and_when() -> None:
    assert "2 processors, Python 3.11.2, 2026-11-30 12:00 UTC" in IDLE.verdict


def test_time_that_nobody_worked_in_is_not_busy() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    names = {"user": 4, "nice": 1, "system": 2, "idle": 900, "iowait": 70, "irq": 1, "softirq": 1, "steal": 3}
    line = "cpu  " + " ".join(str(seconds * ticks) for seconds in names.values())

    assert busy_seconds(f"{line} 0 0\ncpu0 1 2 3") == pytest.approx(12)


WATCHED = """
import subprocess, sys
from benchmarks import machine
from tests.benchmarks.test_machine import BURN, burn

busy = iter([100.0, 100.6])  # what /proc/stat shows before and after
machine.busy_seconds = lambda text: next(busy)
with machine.watched() as watch:
    burn(0.3)
    subprocess.run([sys.executable, "-c", BURN.format(seconds=0.3)], check=True)
print(watch.machine.others_share)
"""


def test_own_work_and_that_of_children_is_not_the_work_of_others() -> None:
    """In a process of its own: children of this one, from other files, may end meanwhile."""
    done = subprocess.run([sys.executable, "-c", WATCHED], capture_output=True, text=True, timeout=60, check=False)

    assert (done.stdout, done.stderr) == ("0.0\n", "")


def test_what_is_busy_beyond_own_work_is_the_work_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = iter([100.0, 160.0])
    monkeypatch.setattr("benchmarks.machine.busy_seconds", lambda text: next(busy))
    watch = MachineWatch()
    burn(0.05)
    watch.stop()

    assert watch.machine.others_share == 1.0
    assert watch.machine.busy


def test_the_load_is_that_of_one_processor_before_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (3.0, 9.0, 9.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    watch = MachineWatch()
    monkeypatch.setattr(os, "getloadavg", lambda: (99.0, 9.0, 9.0))
    watch.stop()

    assert watch.machine.load_before == 0.75
