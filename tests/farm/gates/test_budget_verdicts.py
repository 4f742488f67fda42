"""Where the budget gate's answer changes on a noisy clock: one sample more or less, one device more or less."""

from __future__ import annotations

import pytest

from farm.gates.budget import BudgetGate, NoisyAnswer, compare_noisy
from farm.model.budgets import Budget
from farm.model.run import GateStatus
from kernel.clock import Clock
from tests.farm.evidence import CASE, evidence, trial

UNDER, OVER, LIMIT = 99.0, 101.0, 100.0


@pytest.mark.parametrize(("devices", "failed"), [(2, True), (3, True), (4, False)])
def test_each_device_is_one_question_beside_the_whole(devices: int, failed: bool) -> None:
    """Nine of ten samples over the limit have a chance of 11/1024: more than 5 % / 5, less than 5 % / 4."""
    rows = {f"d{number}": [UNDER] * 10 for number in range(1, devices)}
    answer = compare_noisy({"d0": [UNDER, *[OVER] * 9], **rows}, LIMIT, looks=1)

    assert answer.devices_over == (("d0",) if failed else ())
    assert not answer.over


def test_one_device_alone_is_one_question() -> None:
    """Five samples have a chance of 1/32, which is less than 5 % and more than half of it."""
    assert compare_noisy({"d0": [OVER] * 5}, LIMIT, looks=1) == NoisyAnswer(GateStatus.FAILED, True, ("d0",))
    assert compare_noisy({"d0": [OVER] * 5}, LIMIT, looks=2) == NoisyAnswer(GateStatus.INCONCLUSIVE)


@pytest.mark.parametrize(("over", "status"), [(2, GateStatus.PASSED), (3, GateStatus.INCONCLUSIVE)])
def test_a_device_with_all_of_three_samples_over_is_in_doubt(over: int, status: GateStatus) -> None:
    rows = {"d0": [UNDER] * 9, "d1": [UNDER] * 9, "d2": [OVER] * over}

    assert compare_noisy(rows, LIMIT, looks=1) == NoisyAnswer(status)


def test_a_slow_device_is_named_and_the_whole_is_not() -> None:
    rows = {"d0": [UNDER] * 7, "d1": [UNDER] * 7, "d2": [OVER] * 7}
    trials = [
        trial(device, repeat, wall_us=us, clock=Clock.MEASURED)
        for device, row in rows.items()
        for repeat, us in enumerate(row)
    ]
    held = evidence(trials, noisy=True, clock=Clock.MEASURED, budget=Budget(LIMIT, None, "published"))

    judged = BudgetGate().judge(held)
    assert judged.status is GateStatus.FAILED
    assert [(each.case, each.device, each.message) for each in judged.findings] == [
        (CASE, "d2", "median 101.00 µs is over 100.00 µs on this device")
    ]


def test_an_improvement_of_half_of_the_last_digit_is_one() -> None:
    judged = BudgetGate().judge(evidence([trial("d0", 0, wall_us=0.005)], budget=Budget(None, 0.01, "published")))

    assert (judged.status, len(judged.findings)) == (GateStatus.PASSED, 1)


def test_half_of_the_last_digit_over_a_limit_is_within_it() -> None:
    judged = BudgetGate().judge(evidence([trial("d0", 0, wall_us=0.01)], budget=Budget(0.005, None, "published")))

    assert judged.status is GateStatus.PASSED
