"""The outer rungs of the ladder, on a real Ray, and the messages they leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.errors import UsageError
from farm.execution.session import SessionOptions
from farm.model.budgets import Budget
from farm.model.run import RunRecord, RunRequest, Verdict
from farm.model.timeouts import Timeouts
from tests.fakes import platforms
from tests.farm.validated import run

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray", "at_home")]


def validate(out: Path, timeouts: Timeouts) -> RunRecord:
    request = RunRequest(
        kernel="qkv_proj_rope",
        cases=["tiny"],
        platform="fake",
        devices=2,
        repeats=60,  # a minute's work, so that the limit is met among the trials, however slow the machine builds
        input_set="documented",
        seed=0,
    )
    budgets = {"tiny": Budget(ceiling_us=545.0, ratchet_us=None, source="test")}
    return run(request, SessionOptions(out=out, timeouts=timeouts, platform=platforms.TakesASecond, budgets=budgets))


def test_a_run_over_its_limit_is_errored_and_keeps_what_it_measured(tmp_path: Path) -> None:
    record = validate(tmp_path, Timeouts(trial_s=10, lease_s=30, run_s=40))

    assert record.verdict is Verdict.ERRORED
    assert record.reason.startswith("the lease limit of 30 s is over (--lease-timeout raises it); under way: tiny r")
    assert record.trials
    assert (Path(record.directory) / "report.json").exists()


def test_an_inverted_ladder_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--lease-timeout 3 is not above the trial of 5 s"):
        validate(tmp_path / "out", Timeouts(trial_s=5, lease_s=3))
    assert not (tmp_path / "out").exists()
