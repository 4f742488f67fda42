"""Names of the functions a task record counts by number: `kernel_config.py`, `name_map_*.json` and `deps.json`."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernel.harness.json_stream import JsonStreamError, members

_MOST_SOURCE_BYTES = 4 << 20
_MOST_GRAPH_BYTES = 256 << 20
_LEVEL_OF_CORES = 2  # of a name map: its ids are the func_ids of cores; those of level 3 number whole programs


class RecordsError(ValueError):
    """A file that is not the record it should be, in one line."""


@dataclass(frozen=True, slots=True)
class Function:
    """What one func_id stands for."""

    name: str
    core_type: str  # "aic" or "aiv"; "" where the file does not say


@dataclass(frozen=True, slots=True)
class TaskGraph:
    """What `deps.json` says: which function a task runs on each kind of core, and what it waits for."""

    kernel_ids: Mapping[int, tuple[int, ...]] = field(default_factory=dict)  # task → func_id on aic, aiv0, aiv1, or −1
    waits: Mapping[int, tuple[int, ...]] = field(default_factory=dict)  # task → its predecessors

    def function_of(self, task: int, core_type: str) -> int | None:
        """The func_id that `task` runs on a core of `core_type`, None where the graph does not say."""
        ids = self.kernel_ids.get(task, ())
        places = ids[:1] if core_type == "aic" else ids[1:]
        return next((each for each in places if each >= 0), None)


def functions(path: Path) -> dict[int, Function]:
    """Return func_id → function, from a `kernel_config.py` or a `name_map_*.json`. Nothing is run.

    Raises:
        OSError: The file cannot be read.
        RecordsError: The file is neither.
    """
    if path.stat().st_size > _MOST_SOURCE_BYTES:
        raise RecordsError(f"{path.name} has more than {_MOST_SOURCE_BYTES >> 20} MB")
    return _of_map(path) if path.suffix == ".json" else _of_config(path)


def graph(path: Path) -> TaskGraph:
    """Return the task graph in a `deps.json`.

    Raises:
        OSError: The file cannot be read.
        RecordsError: The file is not a task graph.
    """
    if path.stat().st_size > _MOST_GRAPH_BYTES:
        raise RecordsError(f"{path.name} has more than {_MOST_GRAPH_BYTES >> 20} MB")
    ids: dict[int, tuple[int, ...]] = {}
    waits: dict[int, list[int]] = {}
    try:
        with path.open("rb") as file:
            for name, value in members(file, ("tasks", "edges")):
                if name == "tasks":
                    ids[int(value["task_id"])] = tuple(int(each) for each in value.get("kernel_ids") or ())
                else:
                    waits.setdefault(int(value["succ"]), []).append(int(value["pred"]))
    except (JsonStreamError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordsError(f"{path.name} is not a task graph: {type(error).__name__}: {error}") from error
    return TaskGraph(ids, {task: _once(before) for task, before in waits.items()})


def _once(numbers: Iterable[int]) -> tuple[int, ...]:
    """One edge a tensor is common: two tasks may share several."""
    return tuple(dict.fromkeys(numbers))


def _of_config(path: Path) -> dict[int, Function]:
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


def _of_map(path: Path) -> dict[int, Function]:
    try:
        content: Any = json.loads(path.read_bytes())
        if content.get("level", _LEVEL_OF_CORES) != _LEVEL_OF_CORES:
            return {}
        return {int(number): Function(str(name), "") for number, name in content["callable_id_to_name"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RecordsError(f"{path.name} is not a name map: {type(error).__name__}: {error}") from error
