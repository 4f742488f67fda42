"""Which trials of an interrupted run of a suite stand, and when there is nothing to go on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from farm.errors import UsageError
from farm.model.run import HarnessRecord, RunRecord, Verdict
from farm.validation import resume, suite
from jobs.records import TrialRecord, TrialStatus
from tests.farm import samples

FILES = ["models/a.py", "models/b.py"]


def trial(file: str, repeat: int, status: TrialStatus = TrialStatus.OK) -> TrialRecord:
    return samples.trial("vm/0", repeat).model_copy(update={"case": file, "status": status})


def record(**changes: Any) -> RunRecord:
    told = {"profile": "pypto-lib", "profile_sha256": "p", "root": "/r", "exact": True, "command": [], "timing": "host"}
    of_suite = HarnessRecord(**{**told, "selected": "", **changes.pop("harness", {})})
    trials = [trial(FILES[0], 0), trial(FILES[0], 1), trial(FILES[1], 0), trial(FILES[1], 1, TrialStatus.ERRORED)]
    values = {
        "cases": FILES,
        "trials": trials,
        "verdict": Verdict.ERRORED,
        "harness": of_suite,
        "reason": "interrupted",
    }
    run = samples.run(**{**values, **changes})
    return run.model_copy(update={"request": run.request.model_copy(update={"repeats": 2})})


def test_what_ended_by_itself_stands_and_what_was_lost_does_not() -> None:
    taken = resume.finished_files(record(), record(trials=[]), frozen=())

    assert [(each.case, each.repeat) for each in taken.head] == [(FILES[0], 0), (FILES[0], 1), (FILES[1], 0)]


def test_files_whose_trials_share_operands_are_taken_over_whole_or_not_at_all() -> None:
    taken = resume.finished_files(record(), record(trials=[]), frozen=FILES)

    assert [(each.case, each.repeat) for each in taken.head] == [(FILES[0], 0), (FILES[0], 1)]


@pytest.mark.parametrize(
    ("then", "here"),
    [
        ({"commit": "f" * 40}, {}),
        ({"toolchain": {"ptoas": "1"}}, {}),
        ({"harness": {"exact": False}}, {}),
        ({}, {"harness": {"exact": False}}),
        ({"harness": {"profile_sha256": "q"}}, {}),
        ({"harness": {"root": "/elsewhere"}}, {}),
    ],
)
def test_nothing_stands_where_anything_may_have_changed(then: dict[str, Any], here: dict[str, Any]) -> None:
    assert resume.finished_files(record(**then), record(**here), frozen=()) == resume.ReusedTrials()


def test_a_run_that_has_its_answer_is_not_gone_on_with() -> None:
    resume.require(record())
    with pytest.raises(UsageError, match="has passed; nothing of it is missing"):
        resume.require(record(verdict=Verdict.PASSED))


def test_a_repository_or_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="its repository /r is gone"):
        suite.of_record(record())
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.py").write_text("from golden import run\nif __name__ == '__main__':\n    run()\n")
    with pytest.raises(UsageError, match=r"models/b\.py"):
        suite.of_record(record(harness={"root": str(tmp_path)}))
