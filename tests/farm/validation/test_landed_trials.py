"""What a run holds of trials that have landed, by count: nothing that grows with a trial's tasks."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import pytest

from farm.atomic_file import write_whole
from farm.execution.observer import Observer
from farm.execution.session import SessionOptions
from farm.model.run import RunRequest, Verdict
from farm.report.json_report import JsonReport
from jobs.records import TaskRecord, TrialRecord
from kernel.platforms.protocol import Execution, Task
from tests.fakes import platforms
from tests.farm import direct_lease
from tests.farm.validated import BUDGETS, run

TASKS = 50
TRIALS = 24


class ManyTasks(platforms.Honest):
    """Every trial has many tasks."""

    def run(self, *arguments: object, **named: object) -> Execution:
        done: Execution = super().run(*arguments, **named)  # type: ignore[arg-type]
        tasks = tuple(Task(f"t{number}", "all", "AIV_0", number * 1.0, 1.0) for number in range(TASKS))
        return Execution(done.wall, tasks)


def alive() -> int:
    """Objects of tasks that somebody holds."""
    return sum(type(each) is TaskRecord for each in gc.get_objects())


class Counts(Observer):
    """Counts as each trial lands, and while each report is written."""

    def __init__(self) -> None:
        self.before = alive()
        self.seen: list[int] = []

    def measured(self, trial: TrialRecord, kept: bool) -> None:
        self.count()

    def count(self) -> None:
        self.seen.append(alive() - self.before)


def counting(counts: Counts, call: Callable[..., object]) -> Callable[..., object]:
    """`call`, with a count before it."""

    def counted(*arguments: object) -> object:
        counts.count()
        return call(*arguments)

    return counted


def test_the_tasks_of_one_trial_at_most_are_objects_at_any_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_home: Path
) -> None:
    monkeypatch.setattr("farm.validation.workflow.leased", direct_lease.leased(2))
    counts = Counts()
    monkeypatch.setattr("farm.report.write.write_whole", counting(counts, write_whole))
    request = RunRequest(
        kernel="qkv_proj_rope",
        cases=["tiny"],
        platform="fake",
        devices=2,
        repeats=TRIALS // 2,
        input_set="documented",
        seed=0,
    )

    record = run(request, SessionOptions(out=tmp_path, platform=ManyTasks, budgets=BUDGETS), counts)

    assert record.verdict is Verdict.PASSED, record.reason
    assert [len(trial.tasks) for trial in record.trials] == [TASKS] * TRIALS
    assert len(counts.seen) == TRIALS + len(list((tmp_path / record.run_id).rglob("*.json.gz"))) + 4
    assert max(counts.seen) <= TASKS
    assert (tmp_path / record.run_id / "report.json").read_text() == JsonReport().write(record)
