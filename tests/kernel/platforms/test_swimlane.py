"""Chrome traces and the cost model's core log, as tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kernel.platforms.compiled import Call, topology
from kernel.platforms.compressed import unpacked
from kernel.platforms.protocol import Task
from kernel.platforms.swimlane import read_core_log, read_trace, wall_us, write_trace


def lane(tid: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": "thread_name", "cat": "__metadata", "pid": 1, "tid": tid, "args": {"name": name}}


def event(tid: int, name: str, ts: float, dur: float) -> dict[str, Any]:
    return {"ph": "X", "name": name, "cat": "event", "id": 0, "pid": 1, "tid": tid, "ts": ts, "dur": dur, "args": {}}


def merged(path: Path, *events: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"traceEvents": list(events)}))
    return path


def test_tasks_of_a_merged_swim_lane_come_by_start_with_core_and_stage(tmp_path: Path) -> None:
    path = merged(
        tmp_path / "merged_swimlane.json",
        {"ph": "M", "name": "process_name", "pid": 1, "args": {"name": "Machine View"}},
        lane(1000, "Fake Core_0"),
        lane(1002, "AIC_1"),
        lane(1050, "AIV_25"),
        event(1050, "0-0-7-3-2(heads (nope))", 4.5, 1.25),
        event(1002, "0-0-1-3-1(wq_a)", 0.5, 4.0),
        event(1000, "0-0-9-3-0(fake)", -1.0, 1.0),
        event(1050, "0-0-8-3-2()", 6.0, 0.5),
        {"ph": "s", "name": "machine-view-last-dep", "pid": 1, "tid": 1002, "ts": 4.4, "id": 3},
        {"ph": "C", "name": "ReadyCount_AIC", "pid": 1, "tid": 1, "ts": 0.0, "args": {"size": 1}},
    )

    assert read_trace(path) == (
        Task("0-0-1-3-1", "wq_a", "AIC_1", 0.5, 4.0),
        Task("0-0-7-3-2", "heads (nope)", "AIV_25", 4.5, 1.25),
        Task("0-0-8-3-2", "", "AIV_25", 6.0, 0.5),
    )


def test_the_wall_is_from_the_first_start_to_the_last_end(tmp_path: Path) -> None:
    tasks = [Task("a", "", "AIC_1", 2.0, 10.0), Task("b", "", "AIV_2", 0.5, 3.0), Task("c", "", "AIV_2", 11.0, 0.5)]

    assert wall_us(tasks) == 11.5


def test_a_run_without_tasks_has_no_wall() -> None:
    with pytest.raises(ValueError, match="no wall time"):
        wall_us([])


def test_the_core_log_is_named_by_topology_and_labels(tmp_path: Path) -> None:
    log = tmp_path / "_simulate.swim.json"
    log.write_text(
        json.dumps(
            [
                {"blockIdx": 0, "coreType": "AIC", "tasks": [stamped(5, 1800, 5400)]},
                {"blockIdx": 24, "coreType": "AIV", "tasks": [stamped((3 << 20) | 2, 0, 900)]},
                {"blockIdx": 80, "coreType": "AI-CPU", "tasks": [stamped(1, 0, 1)]},
            ]
        )
    )
    join = 9
    calls = [
        Call(0, 5, "77", 10001, ()),
        Call(0, (3 << 20) | 2, "77", 10002, (join, 6)),
        Call(0, join, "77", 10003, (5,)),
        Call(0, 6, "77", 10004, ()),
    ]

    tasks = read_core_log(log, calls, {("77", 10001): "q-proj"}, cycles_per_us=1800)

    assert tasks == (
        Task("0-3-2", "", "AIV_25", 0.0, 0.5),
        Task("0-0-5", "q-proj", "AIC_1", 1.0, 2.0, after=("0-3-2",)),  # through the join, which ran on no core
    )


def stamped(task: int, start: int, end: int) -> dict[str, int]:
    return {"seqNo": 0, "taskId": task, "subGraphId": 1, "execStart": start, "execEnd": end}


def test_a_written_trace_reads_back_and_draws_the_dependencies(tmp_path: Path) -> None:
    tasks = (Task("0-0-1", "wq_a", "AIC_10", 0.0, 2.0), Task("0-0-2", "heads", "AIV_3", 2.5, 1.0))
    calls = [Call(0, 1, "7", 1, (2, 9)), Call(0, 9, "7", 2, ())]  # 9 ran on no core

    write_trace(tmp_path / "trace.json.gz", tasks, calls)

    assert read_trace(tmp_path / "trace.json.gz") == tasks
    arrows = [
        e for e in json.loads(unpacked((tmp_path / "trace.json.gz").read_bytes()))["traceEvents"] if e["ph"] in "sf"
    ]
    assert [(arrow["ph"], arrow["ts"]) for arrow in arrows] == [("s", 2.0), ("f", 2.5)]


def test_topology_columns_are_found_by_name(tmp_path: Path) -> None:
    path = tmp_path / "dyn_topo.txt"
    path.write_text(
        "seqNo,taskId,rootIndex,rootHash,opmagic,leafIndex,leafHash,coreType,psgId,successors\n"
        "0,4,0,15514669692920950045,10806,0,0,4,0,,252,96\n"
        "1,5,0,15514669692920950045,10807,1,13635,0,4,,\n"
    )

    assert topology(path) == [
        Call(0, 4, "15514669692920950045", 10806, (252, 96), "0", 4),
        Call(1, 5, "15514669692920950045", 10807, (), "13635", 0),
    ]
