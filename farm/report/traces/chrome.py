"""Chrome trace JSON of each trial, for Perfetto or chrome://tracing: the device is a process, each core a thread.

The files are compressed, which both open as they are: on a card a trial has thousands of tasks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from farm.model.run import RunRecord
from farm.text import counting_order, slug
from jobs.records import TrialRecord
from kernel.platforms.compressed import SUFFIX

_SUFFIX = f".json{SUFFIX}"


def traces(record: RunRecord) -> Iterator[tuple[str, str]]:
    """File name and trace of every trial that has tasks, made one after the other.

    Names are `<case>-<device>-r<repeat>.json.gz`. A trial that was moved also carries its attempt, `-a1`; names that
    would still collide are numbered.
    """
    for number, name in trace_names(record).items():
        yield name, trace(record, record.trials[number])


def trace_names(record: RunRecord) -> dict[int, str]:
    """Position of each trial that has tasks → the name of its trace. No two are the same."""
    found: dict[int, str] = {}
    taken: set[str] = set()
    for number, trial in enumerate(record.trials):
        if trial.tasks:
            found[number] = _free_name(trial, taken)
            taken.add(found[number])
    return found


def trace(record: RunRecord, trial: TrialRecord) -> str:
    """The trace of one trial. Times are µs of the trial's clock."""
    tasks = list(trial.tasks)
    cores = {core: number for number, core in enumerate(sorted({task.core for task in tasks}, key=counting_order), 1)}
    events: list[dict[str, Any]] = [_metadata("process_name", 0, f"{trial.device} ({trial.clock.value})")]
    for core, thread in cores.items():
        events.append(_metadata("thread_name", thread, core))
        events.append({**_metadata("thread_sort_index", thread, core), "args": {"sort_index": thread}})
    for task in sorted(tasks, key=lambda task: (task.start_us, cores[task.core])):
        events.append(
            {
                "name": task.name,
                "cat": task.stage or "task",
                "ph": "X",
                "ts": task.start_us,
                "dur": task.duration_us,
                "pid": 1,
                "tid": cores[task.core],
                "args": {"stage": task.stage},
            }
        )
    described = {
        **record.model_dump(include={"run_id", "kernel", "commit"}),
        **trial.model_dump(mode="json", include={"case", "device", "repeat", "attempt", "clock"}),
    }
    content = {"traceEvents": events, "displayTimeUnit": "ns", "otherData": described}
    return json.dumps(content, separators=(",", ":")) + "\n"


def _metadata(name: str, thread: int, value: str) -> dict[str, Any]:
    return {"name": name, "ph": "M", "pid": 1, "tid": thread, "args": {"name": value}}


def _free_name(trial: TrialRecord, taken: set[str]) -> str:
    stem = f"{slug(trial.case)}-{slug(trial.device)}-r{trial.repeat}" + (f"-a{trial.attempt}" if trial.attempt else "")
    name, number = f"{stem}{_SUFFIX}", 2
    while name in taken:
        name, number = f"{stem}-{number}{_SUFFIX}", number + 1
    return name
