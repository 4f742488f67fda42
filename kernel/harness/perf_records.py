"""Task records of the field's harnesses: `l2_perf_records.json`, version 2, and the names in `kernel_config.py`.

A task has `task_id, func_id, core_id, core_type, start_time_us, end_time_us, duration_us, dispatch_time_us,
finish_time_us`; a dispatch or finish that was missed is written 0.0. The wall time is max(finish) − min(dispatch).
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernel.platforms.protocol import Task

VERSION = 2
_MOST_BYTES = 256 << 20  # real ones have a few MB
_MOST_SOURCE_BYTES = 4 << 20
_FIELDS = ("start_time_us", "duration_us", "dispatch_time_us", "finish_time_us")


class RecordsError(ValueError):
    """A file that is no such record, in one line."""


@dataclass(frozen=True, slots=True)
class Function:
    """What one func_id stands for."""

    name: str
    core_type: str  # "aic" or "aiv"


def functions(path: Path) -> dict[int, Function]:
    """func_id → function, from a `kernel_config.py`. The file is parsed, not run. Raises `OSError`, `RecordsError`."""
    if path.stat().st_size > _MOST_SOURCE_BYTES:
        raise RecordsError(f"{path.name} has more than {_MOST_SOURCE_BYTES >> 20} MB")
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RecordsError(f"{path.name} is not Python: {error}") from error
    found: dict[int, Function] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            plain = {
                key.value: value.value
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant) and isinstance(value, ast.Constant)
            }
            number, name = plain.get("func_id"), plain.get("name")
            if isinstance(number, int) and isinstance(name, str):
                found[number] = Function(name, str(plain.get("core_type", "")))
    return found


def read(path: Path, named: Mapping[int, Function]) -> tuple[tuple[Task, ...], float | None]:
    """The tasks by start, and the wall time in µs, None where no end of it is known.

    Raises `OSError`, `RecordsError`.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise RecordsError(f"{path.name} has more than {_MOST_BYTES >> 20} MB")
    try:
        content = json.loads(path.read_bytes())
        if content.get("version") != VERSION:
            raise RecordsError(f"{path.name} has version {content.get('version')}, {VERSION} can be read")
        rows = [_checked(row) for row in content["tasks"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, RecordsError):
            raise
        raise RecordsError(f"{path.name} is no task record: {type(error).__name__}: {error}") from error
    dispatched = [row["dispatch_time_us"] for row in rows if row["dispatch_time_us"] > 0]
    finished = [row["finish_time_us"] for row in rows if row["finish_time_us"] > 0]
    wall_us = max(finished) - min(dispatched) if dispatched and finished else None
    tasks = sorted((_task(row, named) for row in rows), key=lambda task: (task.start_us, task.core))
    return tuple(tasks), round(wall_us, 6) if wall_us is not None and wall_us > 0 else None


def _checked(row: dict[str, Any]) -> dict[str, Any]:
    times = {field: float(row[field]) for field in _FIELDS}
    if not all(math.isfinite(value) for value in times.values()):
        raise ValueError(f"a time is not finite in task {row['task_id']}")
    return {**row, **times}


def _task(row: Mapping[str, Any], named: Mapping[int, Function]) -> Task:
    function = named.get(row["func_id"])
    kind = str(row["core_type"] or (function.core_type if function else "")).upper()
    return Task(
        name=str(row["task_id"]),
        stage=function.name if function else f"func {row['func_id']}",
        core=f"{kind}_{row['core_id']}",
        start_us=row["start_time_us"],
        duration_us=row["duration_us"],
    )
