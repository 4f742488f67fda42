"""The outer rungs of the ladder, on devices of this process, and the messages they leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from farm.errors import UsageError
from farm.execution.session import SessionOptions
from farm.model.budgets import Budget
from farm.model.run import RunRecord, RunRequest, Verdict
from farm.model.timeouts import Timeouts
from tests.fakes import platforms
from tests.farm import direct_lease
from tests.farm.validated import run

pytestmark = pytest.mark.usefixtures("devices", "at_home")


class AgingLease(direct_lease.DirectLease):
    """Half a minute older with each result."""

    def result(self, call: Any) -> Any:
        self.since -= 31.0
        return super().result(call)


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two devices."""
    monkeypatch.setattr("farm.validation.workflow.leased", direct_lease.leased(2, AgingLease))


def validate(out: Path, timeouts: Timeouts) -> RunRecord:
    request = RunRequest(
        kernel="qkv_proj_rope",
        cases=["tiny"],
        platform="fake",
        devices=2,
        repeats=3,
        input_set="documented",
        seed=0,
    )
    budgets = {"tiny": Budget(ceiling_us=545.0, ratchet_us=None, source="test")}
    return run(request, SessionOptions(out=out, timeouts=timeouts, platform=platforms.Honest, budgets=budgets))


def test_a_run_over_its_limit_is_errored_and_keeps_what_it_measured(tmp_path: Path) -> None:
    record = validate(tmp_path, Timeouts(trial_s=20, lease_s=60, run_s=70))

    assert record.verdict is Verdict.ERRORED
    assert record.reason.startswith("the lease limit of 60 s is over (--lease-timeout raises it); under way: tiny r")
    assert record.trials
    assert (Path(record.directory) / "report.json").exists()


def test_an_inverted_ladder_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--lease-timeout 3 is not above the trial of 5 s"):
        validate(tmp_path / "out", Timeouts(trial_s=5, lease_s=3))
    assert not (tmp_path / "out").exists()
