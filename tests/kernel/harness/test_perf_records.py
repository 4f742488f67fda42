"""Task records of both formats: the wall time, tasks and dependencies of a real recording, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kernel.harness.function_names import Function, RecordsError, functions
from kernel.harness.perf_records import read

DATA = Path(__file__).parents[2] / "data"
# simpler, August 2026, simulator; expected.json is what its own converter makes of it.
TODAY = DATA / "simpler-swimlane"


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


def today(**changes: Any) -> dict[str, Any]:
    """Two runs of one task on one core, told apart by the second column of their key alone."""
    return {
        "chip_swimlane_level": 2,
        "metadata": {"clock_freq_hz": 50_000_000, "num_cores": 1, "core_types": ["aiv"]},
        "aicore_tasks": [[0, 7, 1, 1000, 2000], [0, 7, 2, 2100, 2600]],
        "aicpu_tasks": [[0, 1, 950, 2050], [0, 2, 2060, 2700]],
        **changes,
    }


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_the_wall_time_is_last_finish_less_first_dispatch_without_placeholders(tmp_path: Path) -> None:
    rows = [row(1, 32.0, 45.0, 0.0, 46.5), row(0, 10.0, 30.0, 8.0, 31.0), row(2, 33.0, 50.0, 9.0, 0.0)]

    found = read(written(tmp_path / "l2.json", {"version": 2, "tasks": rows}), {1: Function("deq", "aiv")})

    assert (found.wall_us, found.untimed) == (38.5, "")
    assert [(task.name, task.stage, task.core, task.duration_us) for task in found.tasks] == [
        ("0", "func 0", "AIC_0", 20.0),
        ("1", "deq", "AIC_1", 13.0),
        ("2", "func 0", "AIC_2", 17.0),
    ]


@pytest.mark.parametrize("version", [1, 2])
def test_without_a_dispatch_there_is_no_wall_time_and_it_is_said_why(version: int, tmp_path: Path) -> None:
    found = read(written(tmp_path / "l2.json", {"version": version, "tasks": [row(0, 1.0, 2.0, 0.0, 3.0)]}), {})

    assert (found.wall_us, len(found.tasks)) == (None, 1)
    assert "no dispatch" in found.untimed


def test_a_real_recording_of_today_gives_what_the_runtimes_own_converter_makes_of_it() -> None:
    expected = json.loads((TODAY / "expected.json").read_text())["tasks"]

    found = read(TODAY / "chip_swimlane_records.json", {2: Function("add", "aiv")})

    seen = {int(task.name): task for task in found.tasks}
    assert seen.keys() == {each["task_id"] for each in expected}
    for each in expected:
        task = seen[each["task_id"]]
        assert task.duration_us == each["kernel_duration_us"]
        assert task.core == f"AIV_{each['core_id']}"
        assert task.stage == ("add" if each["func_id"] == 2 else f"func {each['func_id']}")
    assert seen[4294967299].after == ("4294967298", "0")
    assert found.wall_us == 2358.18, "50 MHz: (209233420652 − 209233302743) cycles"


def test_a_real_recording_of_may_is_read() -> None:
    found = read(DATA / "pypto-lib-may-2026" / "v4_hc_post" / "l2_perf_records.json", {})

    assert (len(found.tasks), found.wall_us, found.untimed) == (32, 28567.88, "")


@pytest.mark.parametrize("key", ["aicpu_tasks", "scheduler_tasks"])
def test_a_task_that_runs_twice_on_a_core_is_two_rows_whichever_stream_has_the_dispatch(
    key: str, tmp_path: Path
) -> None:
    rows = [[0, 1, 950, 2050], [0, 2, 2060, 2700]]
    stream = rows if key == "aicpu_tasks" else {"schema_version": 1, "producer": "aicpu", "records": rows}
    content = {name: value for name, value in today().items() if name != "aicpu_tasks"}

    found = read(written(tmp_path / "chip.json", {**content, key: stream}), {})

    assert [(task.name, task.start_us, task.duration_us) for task in found.tasks] == [
        ("7", 1.0, 20.0),
        ("7", 23.0, 10.0),
    ]
    assert found.wall_us == 35.0


def test_the_clocks_rate_is_the_files(tmp_path: Path) -> None:
    metadata = {"clock_freq_hz": 1_000_000_000, "num_cores": 1, "core_types": ["aiv"]}

    assert read(written(tmp_path / "chip.json", today(metadata=metadata)), {}).wall_us == 1.75


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"aicpu_tasks": []}, "level 1"),
        ({"aicpu_tasks": [[0, 1, 950, 2050]]}, "a partial recording: 1 of its rows"),
        ({"aicore_tasks": [[0, 7, 1, 1000, 2000]]}, "a partial recording: 1 of its rows"),
        ({"aicore_tasks": [[0, 7, 1, 1000, 2000], [0, 7, 1, 2100, 2600]]}, "a partial recording"),
        ({"aicore_tasks": [], "aicpu_tasks": []}, "no tasks"),
        ({"aicpu_tasks": [[0, 1, 2700, 2050], [0, 2, 2700, 2600]]}, "which is not a time"),
    ],
)
def test_a_partial_recording_has_no_time(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    found = read(written(tmp_path / "chip.json", today(**changes)), {})

    assert found.wall_us is None
    assert told in found.untimed


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"version": 3, "tasks": []}, "has version 3; readable are 1, 2"),
        ({"tasks": []}, "has version None"),
        ([], "is expected"),
        ({"version": 2, "tasks": [{}]}, "KeyError: 'start_time_us'"),
        ({"version": 2, "tasks": [row(0, float("nan"), 1.0, 1.0, 1.0)]}, "is not finite in task 0"),
        (today(metadata={"clock_freq_hz": 0, "core_types": ["aiv"]}), "clock_freq_hz is 0"),
        (today(metadata={"clock_freq_hz": 50, "core_types": []}), "IndexError"),
        (today(aicore_tasks=[[0, 7, 1, 2000, 1000]]), "ends 1000 cycles before it starts"),
        (today(aicore_tasks=[[-1, 7, 1, 1000, 2000]]), "on core -1"),
        (today(aicore_tasks=[[0, 7]]), "IndexError"),
        (today(aicore_tasks=[[0, 7, 1, 1e400, 2000]]), "OverflowError"),
    ],
)
def test_what_is_no_record_is_refused(content: object, told: str, tmp_path: Path) -> None:
    with pytest.raises(RecordsError, match=told):
        read(written(tmp_path / "l2.json", content), {})


def test_a_recording_that_ends_in_the_middle_is_refused(tmp_path: Path) -> None:
    whole = (TODAY / "chip_swimlane_records.json").read_bytes()
    (tmp_path / "chip.json").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(RecordsError, match="ends early"):
        read(tmp_path / "chip.json", {})


def test_names_are_read_and_the_file_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "kernel_config.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w')\n"
        'KERNELS = [{"func_id": 3, "name": "qproj", "source": str(ROOT / "a.cpp"), "core_type": "aic"}]\n'
    )

    assert functions(tmp_path / "kernel_config.py") == {3: Function("qproj", "aic")}
    assert not (tmp_path / "ran").exists()


def test_a_name_map_names_the_functions_of_cores_and_no_whole_programs(tmp_path: Path) -> None:
    names = {"orchestrator_name": None, "callable_id_to_name": {"0": "QK"}}

    assert functions(written(tmp_path / "name_map_a.json", {"level": 2, **names})) == {0: Function("QK", "")}
    assert functions(written(tmp_path / "name_map_b.json", {"level": 3, **names})) == {}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("kernel_config.py", "KERNELS = [", "is not Python"),
        ("name_map_a.json", '{"callable_id_to_name": []}', "is not a name map"),
    ],
)
def test_a_names_file_that_is_none_is_refused(name: str, text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)

    with pytest.raises(RecordsError, match=told):
        functions(tmp_path / name)
