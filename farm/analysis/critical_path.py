"""Which chain of tasks made one trial as long as it was.

Walks back from the task that ended last: what it waited for is whichever of its predecessors, or of the task before it
on the same core, ended latest; from there in turn to the start. Shortening a task that is not on the path gains
nothing. (Backward pass over the schedule as it happened, as in Böhme et al., Scalable Critical-Path Based Performance
Analysis, IPDPS 2012.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from jobs.records import TaskRecord

_ROUNDING_US = 1e-5  # starts and durations are rounded to 1e-6 µs each


@dataclass(frozen=True, slots=True)
class PathStep:
    """One task of the path."""

    task: TaskRecord
    wait_us: float  # between the end of what it waited for and its own start


def critical_path(tasks: Sequence[TaskRecord]) -> list[PathStep]:
    """The path in time order; empty where no task says what it waited for."""
    if not any(task.after for task in tasks):
        return []
    by_name: dict[str, list[TaskRecord]] = defaultdict(list)
    for task in tasks:
        by_name[task.name].append(task)
    before = _before_on_core(tasks)
    current: TaskRecord | None = max(tasks, key=lambda task: (_end(task), task.name))
    first_us = min(task.start_us for task in tasks)
    path: list[PathStep] = []
    seen: set[int] = set()  # tasks without a duration could wait for each other in a ring
    while current is not None:
        seen.add(id(current))
        causes = [task for name in current.after for task in by_name[name]] + before.get(id(current), [])
        reached = [each for each in causes if id(each) not in seen and _end(each) <= current.start_us + _ROUNDING_US]
        cause = max(reached, key=_end, default=None)
        reached_us = _end(cause) if cause else first_us
        path.append(PathStep(current, max(0.0, round(current.start_us - reached_us, 6))))
        current = cause
    return path[::-1]


def _before_on_core(tasks: Sequence[TaskRecord]) -> dict[int, list[TaskRecord]]:
    """Identity of a task → the one that ran before it on its core, as a list of one."""
    cores: dict[str, list[TaskRecord]] = defaultdict(list)
    for task in sorted(tasks, key=lambda task: (task.start_us, _end(task))):
        cores[task.core].append(task)
    return {id(later): [earlier] for lane in cores.values() for earlier, later in pairwise(lane)}


def _end(task: TaskRecord) -> float:
    return task.start_us + task.duration_us
