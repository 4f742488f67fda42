"""Task records of a harness: the wall time ignores ends that were missed, names come from a file that is not run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kernel.harness.perf_records import Function, RecordsError, functions, read


def row(task: int, start: float, end: float, dispatch: float, finish: float) -> dict[str, Any]:
    return {
        "task_id": task,
        "func_id": task % 2,
        "core_id": task,
        "core_type": "aic",
        "start_time_us": start,
        "end_time_us": end,
        "duration_us": end - start,
        "dispatch_time_us": dispatch,
        "finish_time_us": finish,
    }


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_the_wall_time_is_last_finish_less_first_dispatch_without_placeholders(tmp_path: Path) -> None:
    rows = [row(1, 32.0, 45.0, 0.0, 46.5), row(0, 10.0, 30.0, 8.0, 31.0), row(2, 33.0, 50.0, 9.0, 0.0)]

    tasks, wall_us = read(written(tmp_path / "l2.json", {"version": 2, "tasks": rows}), {1: Function("deq", "aiv")})

    assert wall_us == 38.5
    assert [(task.name, task.stage, task.core, task.duration_us) for task in tasks] == [
        ("0", "func 0", "AIC_0", 20.0),
        ("1", "deq", "AIC_1", 13.0),
        ("2", "func 0", "AIC_2", 17.0),
    ]


def test_without_a_dispatch_or_finish_there_is_no_wall_time(tmp_path: Path) -> None:
    rows = [row(0, 1.0, 2.0, 0.0, 3.0)]

    assert read(written(tmp_path / "l2.json", {"version": 2, "tasks": rows}), {})[1] is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"version": 1, "tasks": []}, "has version 1, 2 can be read"),
        ({"version": 2}, "KeyError: 'tasks'"),
        ([], "AttributeError"),
        ({"version": 2, "tasks": [{}]}, "KeyError: 'start_time_us'"),
        ({"version": 2, "tasks": [row(0, float("nan"), 1.0, 1.0, 1.0)]}, "is not finite in task 0"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, content: object, told: str) -> None:
    with pytest.raises(RecordsError, match=told):
        read(written(tmp_path / "l2.json", content), {})


def test_names_are_read_and_the_file_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "kernel_config.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w')\n"
        'KERNELS = [{"func_id": 3, "name": "qproj", "source": str(ROOT / "a.cpp"), "core_type": "aic"}]\n'
    )

    assert functions(tmp_path / "kernel_config.py") == {3: Function("qproj", "aic")}
    assert not (tmp_path / "ran").exists()


def test_a_names_file_that_is_not_python_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kernel_config.py").write_text("KERNELS = [")

    with pytest.raises(RecordsError, match="is not Python"):
        functions(tmp_path / "kernel_config.py")
