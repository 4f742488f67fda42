"""Whose fault the failures of a run are, and how often one is tried again."""

from __future__ import annotations

import random
import time

import pytest

from farm.execution.failure_policy import FailurePolicy, leaves_device_well
from jobs.records import Failure, Fault, TrialStatus
from kernel.clock import Clock
from tests.farm.evidence import lost, trial


def kinds(blame: FailurePolicy) -> list[str]:
    return [failure.kind for failure in blame.kernel]


def test_what_one_trial_proves_is_the_kernels_at_once() -> None:
    blame = FailurePolicy()

    blame.take(lost("d0", 0, "unwritten-output", Fault.KERNEL), "node/0")

    assert kinds(blame) == ["unwritten-output"]
    assert blame.kernel[0].message == "unwritten-output on d0"


@pytest.mark.parametrize("kind", ["hang", "worker-died", "killed", "device-507014", "device-507999", "scheduler-100"])
def test_the_same_on_two_cards_is_the_kernels(kind: str) -> None:
    blame = FailurePolicy()

    blame.take(lost("d0", 0, kind), "node/0")
    blame.take(lost("d0", 1, kind), "node/0")
    assert blame.kernel == []
    blame.take(lost("d1", 0, kind), "node/1")

    assert blame.kernel == [
        Failure(fault=Fault.KERNEL, kind=kind, message=f"{kind} in case tiny on 2 devices (d0, d1)")
    ]


def test_two_dies_of_one_card_are_one_witness() -> None:
    blame = FailurePolicy()

    blame.take(lost("node/0", 0), "node/card0")
    blame.take(lost("node/1", 0), "node/card0")
    assert blame.kernel == []
    blame.take(lost("node/2", 0), "node/card1")

    assert kinds(blame) == ["hang"]


def test_two_codes_and_two_cases_agree_on_nothing() -> None:
    blame = FailurePolicy()

    blame.take(lost("d0", 0, "device-507014"), "0")
    blame.take(lost("d1", 0, "device-507015"), "1")
    blame.take(lost("d2", 0, "device-507014").model_copy(update={"case": "other"}), "2")

    assert blame.kernel == []


@pytest.mark.parametrize(
    "kind",
    ["device-507899", "device-107003", "device-507033", "device-unknown", "orchestrator-10", "killed-9"],
)
def test_what_is_never_the_kernels_is_not_for_being_seen_often(kind: str) -> None:
    blame = FailurePolicy()

    for number in range(5):
        blame.take(lost(f"d{number}", 0, kind), str(number))

    assert blame.kernel == []


@pytest.mark.parametrize("kind", ["out-of-memory", "disk-full", "unreachable", "crash"])
def test_a_nodes_trouble_on_every_card_stays_the_nodes(kind: str) -> None:
    blame = FailurePolicy()

    for number in range(5):
        blame.take(lost(f"d{number}", 0, kind, Fault.NODE), str(number))

    assert blame.kernel == []


def test_a_card_that_failed_its_canary_is_no_witness() -> None:
    blame = FailurePolicy()

    blame.take(lost("d0", 0), "0", trusted=False)
    blame.take(lost("d1", 0), "1")
    blame.take(lost("d0", 1, "unwritten-output", Fault.KERNEL), "0")
    assert blame.kernel == []
    blame.take(lost("d2", 0), "2")

    assert kinds(blame) == ["hang"]


def test_a_card_found_broken_later_takes_its_word_back() -> None:
    blame = FailurePolicy()
    blame.take(lost("d0", 0), "0")
    blame.take(lost("d0", 0, "unwritten-output", Fault.KERNEL), "0")
    blame.take(lost("d1", 0), "1")
    assert kinds(blame) == ["unwritten-output", "hang"]

    blame.take(lost("d0", 1, "device-507054"), "0")
    assert blame.kernel == []
    blame.take(lost("d2", 0), "2")

    assert blame.kernel[0].message == "hang in case tiny on 2 devices (d1, d2)"


def test_a_third_witness_keeps_the_proof_when_one_falls() -> None:
    blame = FailurePolicy()
    for number in range(3):
        blame.take(lost(f"d{number}", 0), str(number))

    blame.distrust("1")
    blame.distrust("1")

    assert blame.kernel[0].message == "hang in case tiny on 2 devices (d0, d2)"
    assert len(blame.kernel) == 1


def test_a_proof_of_one_card_alone_falls_with_it() -> None:
    blame = FailurePolicy()
    blame.take(lost("d0", 0, "unwritten-output", Fault.KERNEL), "0")

    blame.distrust("0")

    assert blame.kernel == []


def test_a_card_that_bore_no_witness_takes_nothing_with_it() -> None:
    """The proofs stay in their order, whichever kind they are."""
    blame = FailurePolicy()
    for number in range(2):
        blame.take(lost(f"d{number}", 0), str(number))
    blame.take(lost("d2", 0, "unwritten-output", Fault.KERNEL), "2")
    blame.take(lost("d3", 0, "device-507014"), "3")
    assert kinds(blame) == ["hang", "unwritten-output"]

    blame.distrust("9")
    blame.distrust("9")

    assert kinds(blame) == ["hang", "unwritten-output"]
    blame.take(lost("d4", 0, "device-507014"), "4")
    assert kinds(blame) == ["hang", "unwritten-output", "device-507014"]


def test_good_trials_say_nothing_for_or_against() -> None:
    blame = FailurePolicy()

    for repeat in range(3):
        blame.take(trial("d0", repeat), "0")

    assert blame.kernel == []


def test_a_campaign_of_a_hundred_thousand_trials_is_weighed_in_seconds() -> None:
    rng = random.Random(1)
    made = [lost(f"d{n}", n, kind) for n in range(64) for kind in ("hang", "device-507014", "unreachable")]
    made += [trial(f"d{n}", n) for n in range(64)]
    blame = FailurePolicy()

    begin = time.process_time()
    for _ in range(100_000):
        one = rng.choice(made)
        blame.take(one, one.device)

    assert time.process_time() - begin < 5
    assert sorted(kinds(blame)) == ["device-507014", "hang"]


@pytest.mark.parametrize(
    ("clock", "fault", "well"),
    [
        (Clock.SIMULATED, None, True),
        (Clock.SIMULATED, Fault.KERNEL, True),
        (Clock.SIMULATED, Fault.NODE, False),
        (Clock.MEASURED, None, True),
        (Clock.MEASURED, Fault.KERNEL, False),  # the device may have an error left that spoils the next program
        (Clock.MEASURED, Fault.NODE, False),
    ],
)
def test_a_real_device_gets_a_canary_after_each_failure(clock: Clock, fault: Fault | None, well: bool) -> None:
    if fault is None:
        ended = trial("d0", 0)
    else:
        status = TrialStatus.FAILED if fault is Fault.KERNEL else TrialStatus.ERRORED
        ended = lost("d0", 0, "hang", fault).model_copy(update={"status": status})

    assert leaves_device_well(ended.model_copy(update={"clock": clock})) is well
