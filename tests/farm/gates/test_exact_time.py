"""One compiled program has one time on an exact clock: within a run, between its arms, and over all runs."""

from __future__ import annotations

import math

import pytest

from farm.gates.budget import BudgetGate
from farm.gates.exact_time import ExactTimeGate, contradictions, describe
from farm.gates.verdict import decide
from farm.model.program_time import ProgramTime
from farm.model.run import GateStatus, Verdict
from jobs.records import Arm, BuildRecord, Failure, Fault, TrialStatus
from kernel.clock import Clock
from tests.farm.evidence import CASE, CASES, DEVICES, OTHER, PROGRAMS, WALL_US, changed, of_run, whole

OTHER_PROGRAM = "d" * 64


def build(case: str = CASE, predicted_us: float | None = None, fingerprint: str | None = None) -> BuildRecord:
    return BuildRecord(
        address="a",
        fingerprint=PROGRAMS[case] if fingerprint is None else fingerprint,
        case=case,
        tuning={},
        cached=False,
        build_s=1.0,
        predicted_us=predicted_us,
        clock=Clock.SIMULATED,
    )


def gate(**more: object) -> ExactTimeGate:
    return ExactTimeGate(**{"base": tuple(of_run(Arm.BASE)), **more})  # type: ignore[arg-type]


def test_a_program_with_one_time_passes() -> None:
    known = {case: [ProgramTime(PROGRAMS[case], us, "run 1")] for case, us in WALL_US.items()}
    builds = tuple(build(case, us) for case, us in WALL_US.items())

    assert gate(known=known, builds=builds, base_builds=builds).judge(whole()).status is GateStatus.PASSED


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("us", [0.5, 0.99, 2.0])
@pytest.mark.parametrize(("device", "repeat"), [(DEVICES[0], 0), (DEVICES[2], 2)])
def test_one_trial_with_another_time_is_errored(case: str, us: float, device: str, repeat: int) -> None:
    evidence = changed(
        whole(),
        lambda each: (each.case, each.device, each.repeat) == (case, device, repeat),
        wall_us=us * WALL_US[case],
    )

    judged = gate().judge(evidence)

    assert judged.status is GateStatus.ERRORED
    (finding,) = [each for each in judged.findings if each.status is GateStatus.ERRORED]
    assert finding.case == case
    assert f"{us * WALL_US[case]:.2f} µs" in finding.message
    assert device in finding.message


def test_all_trials_of_the_head_halved_contradict_its_base() -> None:
    halved = changed(whole(), lambda each: each.case == CASE, wall_us=50.0)

    judged = gate().judge(halved)

    assert judged.status is GateStatus.ERRORED
    assert "50.00 µs (head" in judged.findings[0].message
    assert "100.00 µs (base" in judged.findings[0].message


def test_another_program_may_take_another_time() -> None:
    faster = changed(whole(), lambda each: each.case == CASE, wall_us=50.0, fingerprint=OTHER_PROGRAM)

    assert gate().judge(faster).status is GateStatus.PASSED


def test_times_contradict_the_build_and_history() -> None:
    halved = changed(whole(), lambda each: each.case == CASE, wall_us=50.0)
    known = {CASE: [ProgramTime(PROGRAMS[CASE], 100.0, "run 20261101-120000-abcdef")]}

    by_build = ExactTimeGate(builds=(build(predicted_us=100.0),)).judge(halved)
    by_history = ExactTimeGate(known=known).judge(halved)

    assert (by_build.status, by_history.status) == (GateStatus.ERRORED, GateStatus.ERRORED)
    assert "the build" in by_build.findings[0].message
    assert "run 20261101-120000-abcdef" in by_history.findings[0].message


def test_trials_without_a_name_of_their_program_ran_the_one_that_was_built() -> None:
    unnamed = changed(whole(), lambda each: True, fingerprint="")
    one_off = changed(unnamed, lambda each: (each.case, each.repeat) == (OTHER, 1), wall_us=20.0)

    assert ExactTimeGate().judge(unnamed).status is GateStatus.PASSED
    assert ExactTimeGate().judge(one_off).status is GateStatus.ERRORED
    assert ExactTimeGate(builds=(build(OTHER, 100.0),)).judge(unnamed).status is GateStatus.ERRORED


def test_a_history_that_cannot_be_read_is_no_agreement() -> None:
    judged = gate(unknown="the store is away").judge(whole())

    assert judged.status is GateStatus.ERRORED
    assert judged.findings[0].message == "the store is away"


def test_without_times_there_is_nothing_to_hold() -> None:
    untimed = changed(whole(), lambda each: True, wall_us=None)

    judged = ExactTimeGate().judge(untimed)
    assert judged.status is GateStatus.NOT_APPLICABLE
    assert [(each.case, each.message) for each in judged.findings] == [(case, "nothing has a time") for case in CASES]
    assert ExactTimeGate().judge(whole(cases=())).status is GateStatus.ERRORED


def test_the_finding_names_program_times_and_places() -> None:
    named = describe(ProgramTime("abcdefghijklmnop", 10.0, "n0/0"), ProgramTime("abcdefghijklmnop", 12.0, "n1/0"))
    tail = "; one program has one time on an exact clock, so neither counts"

    assert named == f"program abcdefghijkl took 10.00 µs (n0/0) and 12.00 µs (n1/0){tail}"
    unnamed = [ProgramTime("the program of tiny", us, "n0/0") for us in (10.0, 12.0)]
    assert describe(*unnamed) == f"the program of tiny took 10.00 µs (n0/0) and 12.00 µs (n0/0){tail}"


def test_a_build_without_a_name_or_a_prediction_says_nothing() -> None:
    unnamed = changed(whole(), lambda each: True, fingerprint="")
    known = {CASE: [ProgramTime(PROGRAMS[CASE], 50.0, "run 1")]}

    assert gate(builds=(build(), build(OTHER))).judge(whole()).status is GateStatus.PASSED
    named_later = ExactTimeGate(builds=(build(fingerprint=""), build()), known=known)
    assert named_later.judge(unnamed).status is GateStatus.ERRORED
    assert ExactTimeGate(builds=(build(fingerprint=""),), known=known).judge(unnamed).status is GateStatus.PASSED


@pytest.mark.parametrize(
    "odd",
    [{"wall_us": math.inf}, {"wall_us": -5.0}, {"wall_us": None}, {"wall_us": 50.0, "status": TrialStatus.FAILED}],
)
def test_what_is_no_time_or_of_no_trial_that_ran_contradicts_nothing(odd: dict[str, object]) -> None:
    held = changed(whole(), lambda each: (each.case, each.device, each.repeat) == (CASE, DEVICES[0], 1), **odd)

    assert gate().judge(held).status is GateStatus.PASSED


def test_half_of_the_last_digit_is_no_difference() -> None:
    assert contradictions([ProgramTime("a", 0.005, "x"), ProgramTime("a", 0.01, "y")]) == []


def test_a_build_that_failed_predicts_nothing() -> None:
    failed = build(predicted_us=50.0).model_copy(
        update={"failure": Failure(fault=Fault.KERNEL, kind="compile", message="F21004")}
    )

    assert gate(builds=(failed, build(predicted_us=100.0))).judge(whole()).status is GateStatus.PASSED
    assert gate(builds=(build(predicted_us=50.0),)).judge(whole()).status is GateStatus.ERRORED


def test_times_closer_than_the_clock_tells_are_one() -> None:
    times = [ProgramTime("a", 10.0, "x"), ProgramTime("a", 10.004, "y"), ProgramTime("b", 3.0, "z")]

    assert contradictions(times) == []


@pytest.mark.parametrize("us", [50.0, 500.0])
def test_the_run_is_errored_and_not_failed_whatever_its_budget_says(us: float) -> None:
    evidence = changed(whole(), lambda each: (each.case, each.device) == (CASE, DEVICES[0]), wall_us=us)
    gates = [gate().judge(evidence), BudgetGate().judge(evidence)]

    verdict, reason = decide([build()], list(evidence.trials), gates, "", [])

    assert verdict is Verdict.ERRORED
    assert reason.startswith("clock errored")
