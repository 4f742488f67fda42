"""Reports on disk: every format, whole or not at all, and traces that Perfetto loads."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from farm.atomic_file import ReportWriteError
from farm.report.formats import FORMATS
from farm.report.traces.chrome import traces
from farm.report.write import write_reports
from jobs.records import TaskRecord
from kernel.platforms.compressed import unpacked
from tests.farm import samples


def events(text: str, phase: str) -> list[dict[str, Any]]:
    return [event for event in json.loads(text)["traceEvents"] if event["ph"] == phase]


def test_every_format_and_a_trace_per_trial_are_written(tmp_path: Path) -> None:
    written = write_reports(samples.run(), tmp_path / "run")

    names = {str(path.relative_to(tmp_path / "run")) for path in written}
    expected = {f"traces/flash-s2-10.0.0.1-{index}-r{repeat}.json.gz" for index in range(3) for repeat in range(3)}
    assert names == {"report.json", "junit.xml", "report.md", "report.html"} | expected
    assert {path for path in (tmp_path / "run").rglob("*") if path.is_file()} == set(written), "nothing else is left"
    assert (tmp_path / "run" / "report.md").read_text(encoding="utf-8") == FORMATS["md"].write(samples.run())
    one = tmp_path / "run" / "traces" / "flash-s2-10.0.0.1-0-r0.json.gz"
    assert unpacked(one.read_bytes()) == next(text for _, text in traces(samples.run()))


def test_the_files_of_a_run_of_the_reference_kernel_take_two_megabytes(tmp_path: Path) -> None:
    rows = json.loads((Path(__file__).parents[2] / "data" / "flash-s2-tasks.json").read_text())["tasks"]
    tasks = [
        TaskRecord(name=name, stage=stage, core=core, start_us=start, duration_us=lasts, after=after)
        for name, stage, core, start, lasts, after in rows
    ]
    trials = [samples.trial(f"vm/{index}", repeat, tasks=tasks) for index in range(3) for repeat in range(3)]
    taken = {path.name: path.stat().st_size for path in write_reports(samples.run(trials=trials), tmp_path)}

    assert taken["report.html"] <= 1_500_000
    assert sum(taken.values()) <= 1_750_000, "logs and traces of its trials take the rest"


def test_files_are_readable_by_others_as_the_umask_allows(tmp_path: Path) -> None:
    (report, *_) = write_reports(samples.run(), tmp_path)
    (tmp_path / "plain").touch()

    assert stat.S_IMODE(report.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_write_that_fails_half_way_leaves_the_old_file_and_no_scratch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_reports(samples.run(), tmp_path)
    before = (tmp_path / "report.json").read_bytes()

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ReportWriteError, match="No space left on device"):
        write_reports(samples.over_budget(), tmp_path)

    assert (tmp_path / "report.json").read_bytes() == before
    assert not list(tmp_path.rglob(".*"))


def test_a_directory_nobody_can_make_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ReportWriteError, match="could not be written"):
        write_reports(samples.run(), tmp_path / "file")


def test_a_trace_has_a_process_a_thread_per_core_and_the_tasks_in_us() -> None:
    ((_, text),) = traces(samples.run(trials=[samples.trial("10.0.0.1/0", 2)]))

    named = {(event["name"], event["tid"]): event["args"] for event in events(text, "M")}
    assert named[("process_name", 0)] == {"name": "10.0.0.1/0 (simulated)"}
    assert named[("thread_name", 1)] == {"name": "AIC_0"}
    assert named[("thread_name", 2)] == {"name": "AIV_0"}
    tasks = events(text, "X")
    assert [(task["name"], task["cat"], task["tid"], task["ts"], task["dur"]) for task in tasks] == [
        ("norm", "attn-norm", 2, 0.0, 5.0),
        ("matmul-0", "q-proj", 1, 5.0, 30.5),
        ("matmul-1", "q-proj", 1, 35.5, 29.5),
        ("rope", "rope", 2, 65.0, 11.64),
    ]
    assert json.loads(text)["otherData"]["clock"] == "simulated"


def test_cores_are_in_counting_order() -> None:
    tasks = [
        TaskRecord(name="t", stage="s", core=f"AIC_{number}", start_us=0.0, duration_us=1.0) for number in (10, 2, 1)
    ]
    ((_, text),) = traces(samples.run(trials=[samples.trial("10.0.0.1/0", tasks=tasks)]))

    cores = [event["args"]["name"] for event in events(text, "M") if event["name"] == "thread_name"]
    assert cores == ["AIC_1", "AIC_2", "AIC_10"]


def test_a_trial_without_tasks_has_no_trace() -> None:
    assert (
        list(traces(samples.run(trials=[samples.trial("10.0.0.1/0", tasks=[]), samples.lost_trial("10.0.0.1/1")])))
        == []
    )


def test_no_two_traces_share_a_name() -> None:
    trials = [
        samples.trial("n/0"),
        samples.trial("n-0"),
        samples.trial("n/0", attempt=1),
        samples.trial("n/0"),
    ]

    assert [name for name, _ in traces(samples.run(trials=trials))] == [
        "flash-s2-n-0-r0.json.gz",
        "flash-s2-n-0-r0-2.json.gz",
        "flash-s2-n-0-r0-a1.json.gz",
        "flash-s2-n-0-r0-3.json.gz",
    ]


@pytest.mark.parametrize("hostile", ["../../etc/passwd", "/abs", "..", ".hidden", "a\0b", "x" * 5000, "", "C:\\x", "é"])
def test_a_hostile_case_cannot_name_a_file_elsewhere(hostile: str, tmp_path: Path) -> None:
    record = samples.run(cases=[hostile], trials=[samples.trial(hostile, case=hostile)])

    *_, written = write_reports(record, tmp_path / "run")

    assert written.parent == tmp_path / "run" / "traces"
    assert written.resolve().is_relative_to((tmp_path / "run").resolve())
    assert not written.name.startswith(".")
