"""Task records that the field's runtimes leave, as the farm's tasks.

Two formats are read, distinguished by the content of the file. Either is read as a stream, whatever its size.

`l2_perf_records.json` (until June 2026; `version` 2 with phases, else 1): `tasks` with `task_id, func_id, core_id,
core_type, start_time_us, end_time_us, duration_us, dispatch_time_us, finish_time_us, fanout` in µs. A dispatch or
finish that was missed is written 0.0.

`chip_swimlane_records.json` (simpler at 6ebaf771, 2026-08-22): rows of cycles, turned into µs by
`metadata.clock_freq_hz`. `aicore_tasks` has `core_id, task, reg_task_id, start, end`; `aicpu_tasks`, in other versions
`scheduler_tasks.records`, has `core_id, reg_task_id, dispatch, finish`. A row is of the same task where `core_id` and
`reg_task_id` agree: one task can run on a core several times. Level 1 has no second stream. Functions are not in it:
`deps.json` beside it has them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernel.harness import function_names
from kernel.harness.function_names import Function, RecordsError, TaskGraph
from kernel.harness.json_stream import JsonStreamError, members
from kernel.platforms.protocol import Task

_VERSIONS = (1, 2)
_MOST_BYTES = 2 << 30  # a minute and more of simulated run
_MOST_TASKS = 100_000  # in a report; the largest known program has 4,000
_DECIMALS = 6  # of a µs
_FIELDS = ("start_time_us", "duration_us", "dispatch_time_us", "finish_time_us")
_AICPU = ("aicpu_tasks", "scheduler_tasks/records")
_WANTED = ("version", "tasks", "chip_swimlane_level", "metadata", "aicore_tasks", *_AICPU)


@dataclass(frozen=True, slots=True)
class Recording:
    """What one file holds."""

    tasks: tuple[Task, ...]  # by start
    wall_us: float | None  # last finish − first dispatch; None where `untimed` says why
    untimed: str = ""
    partial: bool = False  # records were lost: no time of this run is a sample, whoever took it


@dataclass(slots=True)
class _Parts:
    """The members of a file, as they come."""

    members: dict[str, Any]
    tasks: list[Any]
    aicore: list[Any]
    aicpu: list[Any]


@dataclass(frozen=True, slots=True)
class _Cycles:
    """How the rows of one recording become tasks."""

    core_types: list[str]  # by core
    zero: int  # cycles at the first event
    per_us: float
    graph: TaskGraph
    named: Mapping[int, Function]
    chip: str


def read(path: Path, named: Mapping[int, Function], chip: str = "") -> Recording:
    """Return what is recorded in `path`.

    Args:
        path: The record file; a `deps.json` beside it is read too.
        named: func_id → function.
        chip: Label of the chip where a run has several, "rank0/d1"; it stands in the names of tasks and cores.

    Raises:
        OSError: The file cannot be read.
        RecordsError: The file is not a task record, is incomplete, or exceeds the limits.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise RecordsError(f"{path.name} has more than {_MOST_BYTES >> 20} MB")
    try:
        parts = _parts(path)
        if "chip_swimlane_level" in parts.members:
            return _of_cycles(parts, _graph(path), named, chip)
        return _of_version(path, parts, named, chip)
    except (JsonStreamError, KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        if isinstance(error, RecordsError):
            raise
        raise RecordsError(f"{path.name} is no task record: {type(error).__name__}: {error}") from error


def _parts(path: Path) -> _Parts:
    parts = _Parts({}, [], [], [])
    rows = {"tasks": parts.tasks, "aicore_tasks": parts.aicore, **dict.fromkeys(_AICPU, parts.aicpu)}
    with path.open("rb") as file:
        for name, value in members(file, _WANTED):
            if name not in rows:
                parts.members[name] = value
                continue
            if len(rows[name]) >= _MOST_TASKS:
                raise RecordsError(f"{path.name} has more than {_MOST_TASKS:,} tasks")
            rows[name].append(value)
    return parts


def _graph(path: Path) -> TaskGraph:
    beside = path.with_name("deps.json")
    try:
        return function_names.graph(beside)
    except (OSError, RecordsError):  # tasks go by their numbers then
        return TaskGraph()


def _of_version(path: Path, parts: _Parts, named: Mapping[int, Function], chip: str) -> Recording:
    version = parts.members.get("version")
    if version not in _VERSIONS:
        known = ", ".join(str(each) for each in _VERSIONS)
        raise RecordsError(f"{path.name} has version {version}; readable are {known} and chip_swimlane_level")
    rows = [_checked(row) for row in parts.tasks]
    waits: dict[Any, list[Any]] = {}
    for row in rows:
        for successor in row.get("fanout") or ():
            waits.setdefault(successor, []).append(row["task_id"])
    tasks = [_task_of_version(row, named, waits.get(row["task_id"], []), chip) for row in rows]
    dispatched = [row["dispatch_time_us"] for row in rows if row["dispatch_time_us"] > 0]
    finished = [row["finish_time_us"] for row in rows if row["finish_time_us"] > 0]
    if not dispatched or not finished:
        return Recording(_by_start(tasks), None, "the recording has no dispatch or no finish times")
    return _timed(tasks, max(finished) - min(dispatched))


def _checked(row: dict[str, Any]) -> dict[str, Any]:
    times = {field: float(row[field]) for field in _FIELDS}
    if not all(math.isfinite(value) for value in times.values()):
        raise ValueError(f"a time is not finite in task {row['task_id']}")
    return {**row, **times}


def _task_of_version(row: Mapping[str, Any], named: Mapping[int, Function], waits: list[Any], chip: str) -> Task:
    function = named.get(row["func_id"])
    kind = str(row["core_type"] or (function.core_type if function else ""))
    return Task(
        name=_name(row["task_id"], chip),
        stage=function.name if function else f"func {row['func_id']}",
        core=_core(kind, row["core_id"], chip),
        start_us=row["start_time_us"],
        duration_us=row["duration_us"],
        after=tuple(_name(each, chip) for each in dict.fromkeys(waits)),
    )


def _of_cycles(parts: _Parts, graph: TaskGraph, named: Mapping[int, Function], chip: str) -> Recording:
    metadata = parts.members["metadata"]
    frequency = float(metadata["clock_freq_hz"])
    if not (math.isfinite(frequency) and frequency > 0):
        raise ValueError(f"clock_freq_hz is {frequency}")
    aicore = {(int(row[0]), int(row[2])): row for row in parts.aicore}
    aicpu = {(int(row[0]), int(row[1])): row for row in parts.aicpu}
    if not aicore:
        return Recording((), None, "the recording has no tasks")
    # Counters of a device have run for weeks: differences are taken between integers, which lose no bits.
    zero = min([int(row[3]) for row in aicore.values()] + [int(row[2]) for row in aicpu.values()])
    how = _Cycles(metadata["core_types"], zero, frequency / 1e6, graph, named, chip)
    tasks = [_task_of_cycles(row, how) for row in aicore.values()]
    if not aicpu:
        return Recording(_by_start(tasks), None, "recorded at level 1, which has no dispatch and finish times")
    alone = len(aicore.keys() ^ aicpu.keys()) + len(parts.aicore) - len(aicore) + len(parts.aicpu) - len(aicpu)
    if alone:
        told = f"a partial recording: {alone} of its rows have no counterpart in the other stream"
        return Recording(_by_start(tasks), None, told, partial=True)
    first, last = min(int(row[2]) for row in aicpu.values()), max(int(row[3]) for row in aicpu.values())
    return _timed(tasks, (last - first) / how.per_us)


def _task_of_cycles(row: list[int], how: _Cycles) -> Task:
    core, task, start, end = int(row[0]), int(row[1]), int(row[3]), int(row[4])
    if core < 0 or end < start:
        raise ValueError(f"task {task} on core {core} ends {start - end} cycles before it starts")
    kind = how.core_types[core]
    number = how.graph.function_of(task, kind)
    function = how.named.get(number) if number is not None else None
    unnamed = "" if number is None else f"func {number}"
    return Task(
        name=_name(task, how.chip),
        stage=function.name if function else unnamed,
        core=_core(kind, core, how.chip),
        start_us=round((start - how.zero) / how.per_us, _DECIMALS),
        duration_us=round((end - start) / how.per_us, _DECIMALS),
        after=tuple(_name(each, how.chip) for each in how.graph.waits.get(task, ())),
    )


def _timed(tasks: list[Task], wall_us: float) -> Recording:
    """Return the value where it is finite and more than 0: only that is a time."""
    ordered = _by_start(tasks)
    if not (math.isfinite(wall_us) and wall_us > 0):
        return Recording(ordered, None, f"last finish − first dispatch is {wall_us:g} µs, which is not a time")
    return Recording(ordered, round(wall_us, _DECIMALS))


def _by_start(tasks: list[Task]) -> tuple[Task, ...]:
    return tuple(sorted(tasks, key=lambda task: (task.start_us, task.core)))


def _name(task: object, chip: str) -> str:
    return f"{chip}:{task}" if chip else str(task)


def _core(kind: str, number: object, chip: str) -> str:
    """The kind goes first: readers of a trace know a core by it."""
    return f"{kind.upper()}_{number}@{chip}" if chip else f"{kind.upper()}_{number}"
