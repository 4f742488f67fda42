"""Whole runs on devices of this process, on platforms that misbehave in one way each: the right verdict and culprit.

`test_run_on_ray.py` has what only processes and leases of Ray can show.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.model.run import GateRecord, GateStatus, RunRecord, Verdict
from jobs.records import Fault, TrialStatus
from tests.fakes import platforms
from tests.farm import direct_lease
from tests.farm.validated import validate

pytestmark = pytest.mark.usefixtures("devices", "at_home")


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four devices."""
    monkeypatch.setattr("farm.validation.workflow.leased", direct_lease.leased(4))


def gate(record: RunRecord, name: str) -> GateRecord:
    return next(judged for judged in record.gates if judged.name == name)


def index_of(record: RunRecord, device_id: str | None) -> int:
    return next(device.index for device in record.devices if device.id == device_id)


def test_a_device_that_flips_a_bit_is_suspect_after_a_second_look(tmp_path: Path) -> None:
    record = validate(platforms.FlipsOnOneDevice, tmp_path)

    judged = gate(record, "determinism")
    assert (record.verdict, judged.status) == (Verdict.ERRORED, GateStatus.ERRORED)
    assert [finding.output for finding in judged.findings] == ["kv"]
    assert index_of(record, judged.findings[0].device) == 1
    assert "twice looked at" in judged.findings[0].message
    assert "3 of 4 cards agree on other bits" in judged.findings[0].message, "one more card was free and was asked"
    assert len(record.trials) == 9 + 3 + 3


def test_a_flip_on_one_repeat_of_one_card_leaves_two_explanations(tmp_path: Path) -> None:
    record = validate(platforms.FlipsOnOneRepeat, tmp_path)

    finding = gate(record, "determinism").findings[0]
    assert record.verdict is Verdict.ERRORED
    assert "either the kernel races or this card is unsteady" in finding.message
    assert (index_of(record, finding.device), finding.repeat, finding.output) == (1, 1, "kv")


def test_a_device_that_is_wrong_alone_does_not_fail_the_kernel(tmp_path: Path) -> None:
    record = validate(platforms.WrongOnOneDevice, tmp_path)

    judged = gate(record, "tolerance")
    assert (record.verdict, judged.status) == (Verdict.ERRORED, GateStatus.ERRORED)
    assert {index_of(record, finding.device) for finding in judged.findings} == {1}
    assert all("not held against the program" in finding.message for finding in judged.findings)
    assert "suspect" in record.reason


def test_wrong_everywhere_is_the_kernels_fault(tmp_path: Path) -> None:
    record = validate(platforms.WrongEverywhere, tmp_path)

    assert record.verdict is Verdict.FAILED
    assert {finding.output for finding in gate(record, "tolerance").findings} == {"q"}
    assert len({finding.device for finding in gate(record, "tolerance").findings}) == 3
    assert gate(record, "determinism").status is GateStatus.PASSED


def test_no_two_devices_agreeing_is_the_kernels_fault(tmp_path: Path) -> None:
    record = validate(platforms.DependsOnDevice, tmp_path)

    assert record.verdict is Verdict.FAILED
    assert "depends on the device" in record.reason


def test_slow_beyond_budget_fails(tmp_path: Path) -> None:
    record = validate(platforms.Slow, tmp_path)

    assert record.verdict is Verdict.FAILED
    assert "1868.00 µs is over the ceiling of 545.00 µs" in record.reason


def test_a_straddling_median_takes_more_samples_and_then_is_inconclusive(tmp_path: Path) -> None:
    record = validate(platforms.Noisy, tmp_path)

    assert record.verdict is Verdict.ERRORED
    assert record.reason.startswith("inconclusive")
    assert len(record.median_us["tiny"].samples) == 3 * 12


def test_a_clearly_fast_noisy_kernel_passes_without_extra_samples(tmp_path: Path) -> None:
    record = validate(platforms.NoisyButFast, tmp_path)

    assert record.verdict is Verdict.PASSED
    assert len(record.trials) == 9
    assert record.median_us["tiny"].interval_us is not None


def test_a_worker_that_dies_moves_to_another_device(tmp_path: Path) -> None:
    record = validate(platforms.DiesOnOneDevice, tmp_path)

    lost = [trial for trial in record.trials if trial.status is TrialStatus.ERRORED]
    assert record.verdict is Verdict.PASSED
    assert [(index_of(record, trial.device), trial.attempt) for trial in lost] == [(1, 0)]
    assert lost[0].failure is not None
    assert lost[0].failure.kind == "worker-died"
    assert sum(trial.status is TrialStatus.OK for trial in record.trials) == 9
    assert {trial.attempt for trial in record.trials if trial.status is TrialStatus.OK} == {0, 1}


def test_a_worker_that_dies_without_a_spare_ends_errored_and_named(tmp_path: Path) -> None:
    record = validate(platforms.DiesOnOneDevice, tmp_path, devices=4, repeats=1)

    lost = [trial for trial in record.trials if trial.status is TrialStatus.ERRORED]
    assert record.verdict is Verdict.ERRORED
    assert {index_of(record, trial.device) for trial in lost} == {1}
    assert [trial.attempt for trial in lost] == [0, 1, 2]
    assert lost[0].device in record.reason


def test_a_kernel_that_kills_every_worker_is_at_fault(tmp_path: Path) -> None:
    record = validate(platforms.DiesEverywhere, tmp_path)

    assert record.verdict is Verdict.FAILED
    assert "worker-died" in record.reason


def test_a_hang_costs_the_worker_and_not_the_run(tmp_path: Path) -> None:
    record = validate(platforms.HangsOnOneDevice, tmp_path, timeout_s=0.3)

    lost = [trial for trial in record.trials if trial.status is TrialStatus.ERRORED]
    assert record.verdict is Verdict.PASSED
    assert [(index_of(record, trial.device), trial.failure and trial.failure.kind) for trial in lost] == [(1, "hang")]


def test_a_kernel_that_hangs_everywhere_is_at_fault(tmp_path: Path) -> None:
    record = validate(platforms.HangsEverywhere, tmp_path, repeats=1, timeout_s=0.3)

    assert record.verdict is Verdict.FAILED
    assert "hang in case tiny" in record.reason


def test_a_device_error_code_moves_the_trial(tmp_path: Path) -> None:
    record = validate(platforms.FaultsOnOneDevice, tmp_path)

    lost = [trial for trial in record.trials if trial.status is TrialStatus.ERRORED]
    assert record.verdict is Verdict.PASSED
    assert lost[0].failure is not None
    assert "507014" in lost[0].failure.message


def test_unwritten_rows_fail_the_kernel(tmp_path: Path) -> None:
    record = validate(platforms.LeavesRowsUnwritten, tmp_path)

    assert record.verdict is Verdict.FAILED
    assert "kv" in record.reason


def test_a_compile_error_is_reported_once(tmp_path: Path) -> None:
    record = validate(platforms.DoesNotCompile, tmp_path)

    assert record.verdict is Verdict.FAILED
    assert "F21004" in record.reason
    assert record.trials == []
    failure = record.builds[0].failure
    assert failure is not None
    assert failure.log == "logs/build-tiny/platform.log"
    assert (tmp_path / record.run_id / failure.log).is_file()


def test_a_build_that_dies_on_two_cards_is_the_kernels(tmp_path: Path) -> None:
    record = validate(platforms.DiesInTheBuild, tmp_path, devices=1)

    failure = record.builds[0].failure
    assert failure is not None
    assert (failure.fault, failure.kind) == (Fault.KERNEL, "worker-died")
    assert record.verdict is Verdict.FAILED, record.reason
    assert "worker-died in case tiny on 2 devices" in record.reason
    assert record.trials == []
