"""The gates as pure functions: truth tables and edges."""

from __future__ import annotations

import dataclasses

import pytest

from farm.gates.budget import BudgetGate, medians, undecided_cases
from farm.gates.determinism import DeterminismGate, suspect_devices
from farm.gates.tolerance import ToleranceGate
from farm.model.budgets import Budget
from farm.model.run import GateStatus
from jobs.records import TrialRecord
from kernel.clock import Clock, MeasuredUs, SimulatedUs
from tests.farm.evidence import CASE, evidence, lost, trial, votes

CEILING = Budget(ceiling_us=545.0, ratchet_us=None, source="published")
RATCHET = Budget(ceiling_us=545.0, ratchet_us=100.0, source="published")


@pytest.mark.parametrize(
    ("digests", "status", "words", "culprit"),
    [
        ({"d0": "aaa", "d1": "aaa", "d2": "aaa"}, GateStatus.PASSED, None, None),
        ({"d0": "aaa", "d1": "aba", "d2": "aaa"}, GateStatus.ERRORED, "either the kernel races or this card", "d1"),
        ({"d0": "aaa", "d1": "aba", "d2": "aab"}, GateStatus.FAILED, "the kernel races", "d1"),
        (
            {"d0": "aaaaaa", "d1": "abcabc", "d2": "aaaaaa", "d3": "aaaaaa"},
            GateStatus.ERRORED,
            "is suspect, its card is",
            "d1",
        ),
        ({"d0": "aba"}, GateStatus.FAILED, "the kernel races", "d0"),
        ({"d0": "aaa", "d1": "bbb", "d2": "aaa"}, GateStatus.ERRORED, "suspect", "d1"),
        ({"d0": "aaa", "d1": "bbb", "d2": "ccc"}, GateStatus.FAILED, "depends on the device", None),
        ({"d0": "aa", "d1": "bb"}, GateStatus.ERRORED, "either a card computes wrongly or the kernel depends", None),
        ({"d0": "a", "d1": "a", "d2": "a", "d3": "b", "d4": "b"}, GateStatus.FAILED, "2 cards share these", "d3"),
        ({"d0": "a", "d1": "a", "d2": "b", "d3": "b"}, GateStatus.FAILED, "depends on the device", None),
        ({"d0": "a", "d1": "a", "d2": "a", "d3": "b", "d4": "c"}, GateStatus.ERRORED, "suspect", "d3"),
        ({"d0": "aaa", "d1": "bab", "d2": "bbb"}, GateStatus.FAILED, "races", "d1"),
        ({"d0": "aa"}, GateStatus.PASSED, None, None),
        ({"d0": "a"}, GateStatus.NOT_APPLICABLE, "nothing to be compared with", None),
        ({}, GateStatus.ERRORED, "no trial", None),
    ],
)
def test_determinism_names_the_culprit(
    digests: dict[str, str], status: GateStatus, words: str | None, culprit: str | None
) -> None:
    judged = DeterminismGate().judge(evidence(votes(digests)))

    assert judged.status is status
    if words is None:
        assert judged.findings == []
    else:
        assert words in judged.findings[0].message
        assert judged.findings[0].device == culprit


@pytest.mark.parametrize(
    ("digests", "status", "words"),
    [
        ({"d0": "a"}, GateStatus.NOT_APPLICABLE, "one device"),
        ({"d0": "aaa"}, GateStatus.NOT_APPLICABLE, "one device; its 3 trials agree"),
        ({"d0": "aba"}, GateStatus.FAILED, "the kernel races"),
        ({}, GateStatus.ERRORED, "no trial"),
    ],
)
def test_determinism_is_never_passed_on_one_device_that_nobody_leased(
    digests: dict[str, str], status: GateStatus, words: str
) -> None:
    judged = DeterminismGate().judge(evidence(votes(digests), local=True))

    assert judged.status is status
    assert words in judged.findings[0].message


def test_determinism_names_the_odd_repeat() -> None:
    judged = DeterminismGate().judge(evidence(votes({"d0": "aaa", "d1": "aab"})))

    assert judged.status is GateStatus.ERRORED
    assert (judged.findings[0].device, judged.findings[0].repeat) == ("d1", 2)


def test_suspects_are_only_devices_that_agree_with_themselves() -> None:
    assert suspect_devices(evidence(votes({"d0": "aa", "d1": "bb", "d2": "aa"}))) == {"d1"}
    assert suspect_devices(evidence(votes({"d0": "aa", "d1": "ab", "d2": "aa"}))) == frozenset()


def test_a_second_look_is_said() -> None:
    looked = evidence(votes({"d0": "aa", "d1": "bb", "d2": "aa"}))
    judged = DeterminismGate().judge(dataclasses.replace(looked, looked_again=frozenset({"d1"})))

    assert "twice looked at" in judged.findings[0].message


def test_tolerance_fails_on_one_bad_output_and_names_it() -> None:
    judged = ToleranceGate().judge(evidence([trial("d0", 0), trial("d1", 2, passed=False)]))

    assert judged.status is GateStatus.FAILED
    finding = judged.findings[0]
    assert (finding.device, finding.repeat, finding.output) == ("d1", 2, "q")
    assert "1 of 4 elements" in finding.message


def test_wrong_numbers_of_a_suspect_device_are_neither_the_kernels_fault_nor_a_pass() -> None:
    trials = [trial("d0", 0), trial("d1", 0, passed=False)]

    judged = ToleranceGate().judge(evidence(trials, suspects=["d1"]))
    assert judged.status is GateStatus.ERRORED
    assert "not held against the program" in judged.findings[0].message


def test_tolerance_without_a_trial_or_an_output_is_no_pass() -> None:
    unrecorded = trial("d0", 0).model_copy(update={"outputs": {}})

    assert ToleranceGate().judge(evidence([])).status is GateStatus.ERRORED
    assert ToleranceGate().judge(evidence([lost("d0", 0)])).status is GateStatus.ERRORED
    assert ToleranceGate().judge(evidence([unrecorded])).status is GateStatus.ERRORED


def test_an_output_that_was_not_measured_is_named_with_its_trial() -> None:
    unrecorded = trial("d1", 2).model_copy(update={"outputs": {}})

    judged = ToleranceGate().judge(evidence([trial("d0", 0), unrecorded]))
    assert [(each.device, each.repeat, each.output, each.message) for each in judged.findings] == [
        ("d1", 2, "q", "output q was not measured")
    ]
    nothing = ToleranceGate().judge(evidence([lost("d0", 0)]))
    assert nothing.findings[-1].message == "no trial measured any output"


def walls(*per_device: list[float], clock: Clock = Clock.SIMULATED) -> list[TrialRecord]:
    return [
        trial(f"d{index}", repeat, wall_us=us, clock=clock)
        for index, row in enumerate(per_device)
        for repeat, us in enumerate(row)
    ]


@pytest.mark.parametrize(
    ("samples", "budget", "status"),
    [
        ([100.0, 100.0, 100.0], RATCHET, GateStatus.PASSED),
        ([100.004, 100.004, 100.004], RATCHET, GateStatus.PASSED),
        ([100.01, 100.01, 100.01], RATCHET, GateStatus.FAILED),
        ([90.0, 90.0, 90.0], RATCHET, GateStatus.PASSED),
        ([545.0, 545.0, 545.0], CEILING, GateStatus.PASSED),
        ([545.01, 545.01, 545.01], CEILING, GateStatus.FAILED),
        ([100.0], None, GateStatus.NOT_APPLICABLE),
    ],
)
def test_an_exact_median_is_compared_as_it_is(samples: list[float], budget: Budget | None, status: GateStatus) -> None:
    assert BudgetGate().judge(evidence(walls(samples), budget=budget)).status is status


def test_one_slow_device_fails_an_exact_budget_by_name() -> None:
    judged = BudgetGate().judge(evidence(walls([100.0], [101.0], [100.0]), budget=RATCHET))

    assert judged.status is GateStatus.FAILED
    assert [finding.device for finding in judged.findings] == ["d1"]


def test_a_faster_kernel_is_told_to_land_its_time() -> None:
    judged = BudgetGate().judge(evidence(walls([90.0]), budget=RATCHET))

    assert "90.00" in judged.findings[0].message


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        (([530.0, 535.0, 540.0],) * 3, GateStatus.PASSED),
        (([560.0, 570.0, 580.0],) * 3, GateStatus.FAILED),
        (([530.0, 544.0, 560.0],) * 3, GateStatus.INCONCLUSIVE),
        (([530.0] * 9, [530.0] * 9, [560.0] * 9), GateStatus.FAILED),
    ],
)
def test_a_noisy_median_needs_its_samples_on_one_side(rows: tuple[list[float], ...], status: GateStatus) -> None:
    held = evidence(walls(*rows, clock=Clock.MEASURED), noisy=True, clock=Clock.MEASURED, budget=CEILING)

    assert BudgetGate().judge(held).status is status
    assert undecided_cases(held) == ([CASE] if status is GateStatus.INCONCLUSIVE else [])


def test_no_wall_time_is_an_error_and_not_a_pass() -> None:
    judged = BudgetGate().judge(evidence([trial("d0", 0, wall_us=None)], budget=CEILING))

    assert judged.status is GateStatus.ERRORED


def test_a_time_of_the_other_clock_is_not_a_sample() -> None:
    judged = BudgetGate().judge(evidence([trial("d0", 0, clock=Clock.MEASURED)], budget=CEILING))

    assert judged.status is GateStatus.ERRORED
    with pytest.raises(TypeError, match="different yardsticks"):
        _ = SimulatedUs(1.0) < MeasuredUs(2.0)


def test_medians_keep_every_sample_and_the_deviation() -> None:
    record = medians(evidence(walls([1.0, 2.0, 9.0], [2.0, 2.0, 2.0])))[CASE]

    assert record.per_device == {"d0": 2.0, "d1": 2.0}
    assert (record.overall, record.mad_us, len(record.samples)) == (2.0, 0.0, 6)
    assert record.interval_us is None
