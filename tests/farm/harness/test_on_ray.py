"""Files of a suite in workers of a real Ray: tried again on another device, several devices at once, interrupted.

`test_runs.py` has the verdicts on every kind of file, on devices that are threads.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import psutil
import pytest

from farm.execution.session import SessionOptions
from farm.harness.file_selection import discover
from farm.model.run import FileStatus, RunRecord, RunRequest, Verdict
from farm.model.timeouts import Timeouts
from farm.validation.suite import run
from farm.validation.suite_state import SuiteRequest
from tests.fakes.harness import ROOT, shipped
from tests.processes import running_for_this_test

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("joined_ray", "at_home")]


def validate(names: Collection[str], out: Path, devices: int) -> RunRecord:
    profile = shipped(seconds=120.0, stop_seconds=0.2)
    found = discover(ROOT, [f"models/{name}.py" for name in names], profile, "a2a3sim")
    request = RunRequest(
        kernel=profile.name,
        cases=list(found.files),
        platform="a2a3sim",
        devices=devices,
        repeats=1,
        input_set="own",
        seed=0,
    )
    return run(
        SuiteRequest(profile, profile.name, ROOT, found, "named", request),
        SessionOptions(out=out, timeouts=Timeouts(trial_s=700)),
    )


def test_files_go_to_whichever_device_is_free_and_a_fault_is_tried_again_on_another(tmp_path: Path) -> None:
    record = validate(["passes", "two_cards", "wrong_numbers", "stalls"], tmp_path, devices=2)

    assert record.harness is not None
    files = {Path(file.file).stem: file for file in record.harness.files}
    assert {name: file.status for name, file in files.items()} == {
        "passes": FileStatus.PASSED,
        "two_cards": FileStatus.PASSED,
        "wrong_numbers": FileStatus.FAILED,
        "stalls": FileStatus.FAILED,
    }
    assert files["stalls"].reason.startswith("device-507014 in case models/stalls.py on 2 devices")
    assert len({device.pid for device in record.devices}) == 2
    (double,) = (trial for trial in record.trials if trial.case == "models/two_cards.py")
    assert len({double.device, *double.beside}) == 2
    assert running_for_this_test() == []


def test_an_interrupt_keeps_what_was_measured_and_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("farm.execution.deadlines.RunDeadlines.check", interrupt)

    record = validate(["hangs"], tmp_path, devices=1)

    assert (record.verdict, record.reason) == (Verdict.ERRORED, "interrupted")
    assert record.harness is not None
    assert record.harness.files[0].reason == "not reached: interrupted"
    until_gone()


def until_gone() -> None:
    """Wait until no process of a file runs: their supervisor ends them when the worker has gone."""
    _, alive = psutil.wait_procs(running_for_this_test(), timeout=60)
    assert not alive
