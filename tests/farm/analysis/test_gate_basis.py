"""What a passed gate's row says."""

from __future__ import annotations

import pytest

from farm.analysis.gate_basis import basis
from farm.model.run import GateRecord, GateStatus
from tests.farm import samples


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tolerance", "outputs in 9 trials, at most"),
        ("determinism", "the same bits on 3 devices × 3 repeats"),
        ("budget", "µs, best landed 76.50 µs, left -0.2 %"),
        ("control", "9 trials"),
    ],
)
def test_a_passed_gate_says_on_what_it_passed(name: str, said: str) -> None:
    [line] = basis(samples.run(), GateRecord(name=name, status=GateStatus.PASSED))

    assert line.startswith(f"{samples.CASE}: ") and said in line


def test_a_run_without_a_merge_base_was_compared_with_none() -> None:
    assert basis(samples.run(base=None), GateRecord(name="regression", status=GateStatus.PASSED)) == []


@pytest.mark.parametrize("status", [each for each in GateStatus if each is not GateStatus.PASSED])
def test_a_gate_that_did_not_pass_speaks_by_its_findings(status: GateStatus) -> None:
    assert basis(samples.run(), GateRecord(name="tolerance", status=status)) == []
