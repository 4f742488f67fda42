"""Swim lanes: which task ran on which core, and when. Read from and written as Chrome trace events.

Both the cost model's log of its cores and the trace the device's runtime writes end up as the same `Task` records, and
one definition of the wall time serves both: last end − first start over the cube and vector cores.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kernel.platforms import compressed
from kernel.platforms.compiled import Call
from kernel.platforms.protocol import Task

_CORES = ("AIC", "AIV")
_LABELLED = re.compile(r"(?P<name>.*?)\((?P<stage>.*)\)")
_AFTER = "after"  # argument of an event: names of the tasks it waits for
_DECIMALS = 6  # of a µs: below a cycle of any clock in use, above the noise of adding floats


def wall_us(tasks: Iterable[Task]) -> float:
    """Last end − first start over all cube and vector cores, in µs. Raises `ValueError` where there is no task."""
    seen = list(tasks)
    if not seen:
        raise ValueError("a run without a single task has no wall time")
    return round(max(t.start_us + t.duration_us for t in seen) - min(t.start_us for t in seen), _DECIMALS)


def read_trace(path: Path) -> tuple[Task, ...]:
    """The tasks of a Chrome trace with one lane a core, such as the runtime's `merged_swimlane.json`, by start.

    A lane's core is its `thread_name`; a stage is what stands in parentheses at the end of an event's name. Lanes that
    are not cores (host threads, counters, stand-ins for tasks that never ran) are left out. Only `write_trace`
    records what a task waits for, and it writes compressed files.
    """
    zipped = path.name.endswith(compressed.SUFFIX)
    events = json.loads(compressed.unpacked(path.read_bytes()) if zipped else path.read_text())["traceEvents"]
    lanes = {
        (event["pid"], event["tid"]): event["args"]["name"]
        for event in events
        if event.get("ph") == "M" and event.get("name") == "thread_name"
    }
    tasks = []
    for event in events:
        core = lanes.get((event.get("pid"), event.get("tid")), "")
        if event.get("ph") == "X" and core.startswith(_CORES):
            after = tuple(event.get("args", {}).get(_AFTER, ()))
            tasks.append(_task(event["name"], core, float(event["ts"]), float(event["dur"]), after))
    return _by_start(tasks)


def read_core_log(
    path: Path, topology: Iterable[Call], labels: Mapping[tuple[str, int], str], cycles_per_us: int
) -> tuple[Task, ...]:
    """The tasks of the cost model's own log (cycles on each core), named by topology and labels, by start."""
    calls = list(topology)
    stages = {(call.sequence, call.task): labels.get((call.root, call.magic), "") for call in calls}
    # Numbered from one, as PyPTO's own traces number them.
    lanes = {f"{core['coreType']}_{core['blockIdx'] + 1}": core["tasks"] for core in json.loads(path.read_text())}
    lanes = {lane: entries for lane, entries in lanes.items() if lane.startswith(_CORES)}
    waits = _waits(calls, {(entry["seqNo"], entry["taskId"]) for entries in lanes.values() for entry in entries})
    tasks = []
    for lane, entries in lanes.items():
        for entry in entries:
            key = (entry["seqNo"], entry["taskId"])
            start, end = entry["execStart"], entry["execEnd"]
            tasks.append(
                Task(
                    name=_formal_name(*key),
                    stage=stages.get(key, ""),
                    core=lane,
                    start_us=round(start / cycles_per_us, _DECIMALS),
                    duration_us=round((end - start) / cycles_per_us, _DECIMALS),
                    after=tuple(_formal_name(*other) for other in sorted(waits.get(key, ()))),
                )
            )
    return _by_start(tasks)


def write_trace(path: Path, tasks: Iterable[Task], topology: Iterable[Call] = ()) -> None:
    """Write `tasks` as a trace that Perfetto opens and `read_trace` reads, with `topology` as arrows between them.

    The file is compressed, as the end of its name says.
    """
    placed = _by_start(tasks)
    cores = sorted({task.core for task in placed}, key=_core_order)
    lane = {core: number for number, core in enumerate(cores, start=1)}
    events: list[dict[str, Any]] = [_metadata("process_name", 0, "cores")]
    events += [_metadata("thread_name", lane[core], core) for core in cores]
    events += [_event(task, lane[task.core]) for task in placed]
    events += _arrows({task.name: task for task in placed}, lane, topology)
    path.write_bytes(compressed.packed(json.dumps({"traceEvents": events}, separators=(",", ":"))))


def _waits(calls: Iterable[Call], ran: set[tuple[int, int]]) -> dict[tuple[int, int], set[tuple[int, int]]]:
    """Each task that ran on a core → those it waits for, seen through the joins, which cost nothing and run on none."""
    successors = {(call.sequence, call.task): [(call.sequence, other) for other in call.successors] for call in calls}
    found: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for task in ran & successors.keys():
        ahead, seen = list(successors[task]), set(successors[task])
        while ahead:
            other = ahead.pop()
            if other in ran:
                found.setdefault(other, set()).add(task)
                continue
            fresh = [further for further in successors.get(other, []) if further not in seen]
            seen.update(fresh)
            ahead.extend(fresh)
    return found


def _task(label: str, core: str, start_us: float, duration_us: float, after: tuple[str, ...]) -> Task:
    found = _LABELLED.fullmatch(label)
    name, stage = (found["name"], found["stage"]) if found else (label, "")
    return Task(name, stage, core, round(start_us, _DECIMALS), round(duration_us, _DECIMALS), after)


def _formal_name(sequence: int, task: int) -> str:
    """Device task, function within it, call within that: the bits of PyPTO's task number."""
    return f"{sequence}-{(task >> 20) & 0x7FF}-{task & 0xFFFFF}"


def _by_start(tasks: Iterable[Task]) -> tuple[Task, ...]:
    return tuple(sorted(tasks, key=lambda task: (task.start_us, _core_order(task.core), task.name)))


def _core_order(core: str) -> tuple[str, str, int]:
    kind, _, rest = core.partition("_")
    number, _, chip = rest.partition("@")
    return kind, chip, int(number) if number.isdigit() else 0


def _metadata(what: str, lane: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": 1, "tid": lane, "args": {"name": name}}


def _event(task: Task, lane: int) -> dict[str, Any]:
    label = f"{task.name}({task.stage})"
    return {
        "ph": "X",
        "name": label,
        "cat": task.stage or "unlabelled",
        "pid": 1,
        "tid": lane,
        "ts": task.start_us,
        "dur": task.duration_us,
        "args": {_AFTER: list(task.after)},
    }


def _arrows(tasks: Mapping[str, Task], lane: Mapping[str, int], topology: Iterable[Call]) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for call in topology:
        source = tasks.get(_formal_name(call.sequence, call.task))
        for successor in call.successors:
            target = tasks.get(_formal_name(call.sequence, successor))
            if source is None or target is None:
                continue  # one end is a join that costs nothing and runs on no core
            arrow = {"name": "waits for", "cat": "dependency", "pid": 1, "id": len(events)}
            end_us = source.start_us + source.duration_us
            events.append({**arrow, "ph": "s", "tid": lane[source.core], "ts": end_us})
            events.append({**arrow, "ph": "f", "bp": "e", "tid": lane[target.core], "ts": target.start_us})
    return events
