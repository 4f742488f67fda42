"""What `farm run` does with a request: its names become objects, and then it is validated."""

from __future__ import annotations

from pathlib import Path

from farm.execution.observer import Observer
from farm.execution.session import SessionOptions
from farm.leasing.device_lease import PlatformFactory
from farm.model.budgets import Budget
from farm.model.run import RunRecord, RunRequest
from farm.model.timeouts import Timeouts
from farm.validation import workflow

BUDGETS = {"tiny": Budget(ceiling_us=545.0, ratchet_us=None, source="test")}


def run(
    request: RunRequest,
    options: SessionOptions | None = None,
    observer: Observer | None = None,
    resumed: RunRecord | None = None,
) -> RunRecord:
    options = options or SessionOptions()
    return workflow.run(workflow.resolve(request, options), options, observer, resumed)


def validate(
    platform: PlatformFactory, out: Path, *, devices: int = 3, repeats: int = 3, timeout_s: float = 60
) -> RunRecord:
    """The record of a run of the case tiny on a platform of the tests."""
    request = RunRequest(
        kernel="qkv_proj_rope",
        cases=["tiny"],
        platform="fake",
        devices=devices,
        repeats=repeats,
        input_set="documented",
        seed=0,
    )
    options = SessionOptions(
        out=out,
        timeouts=Timeouts(trial_s=timeout_s),
        platform=platform,
        budgets=BUDGETS,
    )
    return run(request, options)
