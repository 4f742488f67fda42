"""What of a bisect that ended early stands: its answers, where the same commits are judged by the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.bisect import resume
from farm.errors import InfrastructureError, UsageError
from farm.model.bisect import Answer, BisectRecord, CommitOutcome
from farm.report.bisect.write import write_bisect
from jobs.records import TrialStatus
from tests.farm import bisect_samples as samples

BASIS = "b" * 64


def early(**changes: object) -> BisectRecord:
    return samples.interrupted().model_copy(update={"basis": BASIS, **changes})


def test_every_answer_stands_where_nothing_has_changed() -> None:
    record = early()

    assert resume.answered(record, record.candidates, BASIS) == record.probes


@pytest.mark.parametrize(
    ("status", "stands"), [(TrialStatus.FAILED, True), (TrialStatus.OK, True), (TrialStatus.ERRORED, False)]
)
def test_a_commit_that_was_passed_over_stands_only_if_it_is_its_own_doing(status: TrialStatus, stands: bool) -> None:
    record = early()
    first = record.probes[-1]
    trials = [trial.model_copy(update={"status": status}) for trial in first.trials]
    skipped = first.model_copy(update={"answer": Answer.SKIPPED, "trials": trials})
    record = early(probes=[*record.probes[:-1], skipped])

    assert (skipped in resume.answered(record, record.candidates, BASIS)) is stands


def test_answers_judged_by_something_else_are_refused() -> None:
    record = early()

    for judged_by in ("c" * 64, ""):
        with pytest.raises(UsageError, match="kernel or the toolchain has changed"):
            resume.answered(record, record.candidates, judged_by)
    with pytest.raises(UsageError, match="its commits are not the same"):
        resume.answered(record, record.candidates[1:], BASIS)


def test_only_what_ended_early_is_gone_on_with(tmp_path: Path) -> None:
    for number, record in enumerate((early(), samples.bisect())):
        directory = tmp_path / f"{number}"
        directory.mkdir()
        write_bisect(record, directory)

    assert resume.load(tmp_path, "0").outcome is CommitOutcome.INTERRUPTED
    with pytest.raises(UsageError, match="has found; nothing of it is missing"):
        resume.load(tmp_path, "latest")
    with pytest.raises(UsageError, match="no bisect '7' below"):
        resume.load(tmp_path, "7")
    (tmp_path / "0" / "bisect.json").write_text("{}")
    with pytest.raises(InfrastructureError, match="cannot be read"):
        resume.load(tmp_path, "0")
