"""Gates on the evidence of a whole run: several cases, outputs, devices, attempts and arms.

Each test is a way in which one line of a gate could be wrong and every test on a single trial would still pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from farm.gates.budget import BudgetGate, medians
from farm.gates.control import ControlGate
from farm.gates.determinism import DeterminismGate, distrusted_devices, second_look, suspect_devices
from farm.gates.protocol import Evidence, Gate, PlannedMeasurement
from farm.gates.regression import RegressionGate
from farm.gates.self_disagreement import unsteady_cards
from farm.gates.tolerance import ToleranceGate
from farm.model.budgets import Budget
from farm.model.run import GateRecord, GateStatus
from farm.stats.bootstrap import ratio_interval
from jobs.records import Arm, TrialRecord, TrialStatus
from kernel.clock import Clock
from tests.farm.evidence import (
    CASE,
    CASES,
    DEVICES,
    OTHER,
    OUTPUTS,
    WALL_US,
    altered,
    changed,
    control_trials,
    lost,
    of_run,
    output,
    whole,
    with_output,
)

GATES: dict[str, Gate] = {
    "tolerance": ToleranceGate(),
    "determinism": DeterminismGate(),
    "budget": BudgetGate(),
    "regression": RegressionGate(tuple(of_run(Arm.BASE))),
    "control": ControlGate(tuple(control_trials())),
}


def wrong(name: str, digest: str = "") -> dict[str, object]:
    return dict(with_output(name, output(digest or f"{name} same", passed=False)))


def at(case: str, device: str = "", repeat: int | None = None) -> Callable[[TrialRecord], bool]:
    return lambda trial: trial.case == case and device in ("", trial.device) and repeat in (None, trial.repeat)


def without(evidence: Evidence, gone: Callable[[TrialRecord], bool]) -> Evidence:
    left = tuple(trial for trial in evidence.trials if not gone(trial))
    assert len(left) < len(evidence.trials)
    return replace(evidence, trials=left)


def statuses(judged: GateRecord) -> set[tuple[str | None, str | None, GateStatus | None]]:
    return {(each.case, each.output, each.status) for each in judged.findings}


@pytest.mark.parametrize("gate", GATES)
def test_a_whole_run_passes_every_gate(gate: str) -> None:
    assert GATES[gate].judge(whole()).status is GateStatus.PASSED


@pytest.mark.parametrize("gate", GATES)
def test_no_gate_passes_a_run_without_a_case(gate: str) -> None:
    assert GATES[gate].judge(whole(cases=())).status is GateStatus.ERRORED


@pytest.mark.parametrize("gate", GATES)
def test_no_gate_passes_what_nobody_planned(gate: str) -> None:
    assert GATES[gate].judge(whole(planned=())).status is GateStatus.ERRORED


HEAD_GATES = ["tolerance", "determinism", "budget", "regression"]


@pytest.mark.parametrize("gate", HEAD_GATES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("device", "repeat"), [(DEVICES[0], 0), (DEVICES[2], 2), (DEVICES[1], None)])
def test_no_gate_passes_where_a_planned_measurement_is_missing(
    gate: str, case: str, device: str, repeat: int | None
) -> None:
    judged = GATES[gate].judge(without(whole(), at(case, device, repeat)))

    assert judged.status is GateStatus.ERRORED
    assert {finding.case for finding in judged.findings if finding.status is GateStatus.ERRORED} == {case}
    assert "missing" in " ".join(finding.message for finding in judged.findings)


@pytest.mark.parametrize("gate", HEAD_GATES)
def test_no_gate_passes_where_a_measurement_stands_twice(gate: str) -> None:
    once = whole()
    twice = replace(once, trials=(*once.trials, once.trials[-1]))
    in_place_of_another = replace(twice, trials=(*twice.trials[:-2], twice.trials[-3], twice.trials[-1]))

    assert GATES[gate].judge(twice).status is GateStatus.ERRORED
    assert GATES[gate].judge(in_place_of_another).status is GateStatus.ERRORED


@pytest.mark.parametrize("gate", HEAD_GATES)
@pytest.mark.parametrize("status", [TrialStatus.ERRORED, TrialStatus.FAILED])
def test_no_gate_takes_a_trial_that_did_not_run_to_the_end_for_a_measurement(gate: str, status: TrialStatus) -> None:
    assert GATES[gate].judge(changed(whole(), at(OTHER, DEVICES[2], 1), status=status)).status is GateStatus.ERRORED


@pytest.mark.parametrize("gate", ["tolerance", "determinism"])
def test_an_output_that_one_trial_lacks_is_no_pass(gate: str) -> None:
    lacking = changed(whole(), at(OTHER, DEVICES[2], 1), outputs={"q": output("q same")})

    assert GATES[gate].judge(lacking).status is GateStatus.ERRORED


def test_an_empty_digest_agrees_with_nothing() -> None:
    one = changed(whole(), at(OTHER, DEVICES[2], 1), **with_output("kv", output("")))
    every = changed(whole(), lambda trial: True, **with_output("kv", output("")))

    assert DeterminismGate().judge(one).status is GateStatus.ERRORED
    assert statuses(DeterminismGate().judge(every)) == {(case, "kv", GateStatus.ERRORED) for case in CASES}


def test_a_case_without_outputs_is_no_pass() -> None:
    empty = whole(outputs={CASE: OUTPUTS, OTHER: ()})

    assert ToleranceGate().judge(empty).status is GateStatus.ERRORED
    assert DeterminismGate().judge(empty).status is GateStatus.ERRORED


@pytest.mark.parametrize("first", CASES)
def test_a_wrong_output_outweighs_an_absent_one_of_another_case(first: str) -> None:
    second = OTHER if first == CASE else CASE
    both = without(changed(whole(), at(first, DEVICES[0], 0), **wrong("kv")), at(second))

    judged = ToleranceGate().judge(both)
    assert judged.status is GateStatus.FAILED
    assert {(first, GateStatus.FAILED), (second, GateStatus.ERRORED)} <= {
        (each.case, each.status) for each in judged.findings
    }


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_race_of_one_output_outweighs_a_suspect_on_the_other(name: str) -> None:
    """The kernel races in `name`, on two cards, and a third card is steadily odd in the other output."""
    other = next(each for each in OUTPUTS if each != name)
    trials = whole().trials
    for device in DEVICES[:2]:
        raced = {name: output(f"raced {device}"), other: output(f"{other} same")}
        trials = altered(trials, at(CASE, device, 1), outputs=raced)
    trials = altered(trials, at(CASE, DEVICES[2]), outputs={name: output(f"{name} same"), other: output("odd")})

    judged = DeterminismGate().judge(whole(trials=trials))
    assert judged.status is GateStatus.FAILED
    assert judged.findings[0].status is GateStatus.FAILED
    assert statuses(judged) == {(CASE, name, GateStatus.FAILED), (CASE, other, GateStatus.ERRORED)}


def odd_device(case: str = CASE) -> Evidence:
    """One card is steadily odd in one output of one case, wrong in it, and slow."""
    return changed(whole(), at(case, DEVICES[2]), **wrong("kv", "odd"), wall_us=900.0)


def test_a_device_is_distrusted_for_the_case_where_it_lost_and_for_no_other() -> None:
    evidence = odd_device()
    assert distrusted_devices(evidence) == {CASE: frozenset({DEVICES[2]})}

    held = replace(evidence, suspects=distrusted_devices(evidence))
    assert ToleranceGate().judge(held).status is GateStatus.ERRORED
    wrong_elsewhere = changed(held, at(OTHER, DEVICES[2], 0), **wrong("q"))
    assert ToleranceGate().judge(wrong_elsewhere).status is GateStatus.FAILED


def test_the_times_of_a_suspect_device_count_nowhere() -> None:
    held = replace(odd_device(), suspects={CASE: frozenset({DEVICES[2]})})

    assert set(medians(held)[CASE].per_device) == set(DEVICES[:2])
    assert medians(held)[CASE].overall == WALL_US[CASE]
    assert BudgetGate().judge(held).status is GateStatus.PASSED
    assert RegressionGate(tuple(of_run(Arm.BASE))).judge(held).status is GateStatus.PASSED
    assert BudgetGate().judge(odd_device()).status is GateStatus.FAILED


def test_the_base_is_judged_without_suspects_as_well() -> None:
    base = altered(of_run(Arm.BASE), at(CASE, DEVICES[2]), wall_us=1.0)
    held = whole(suspects={CASE: frozenset({DEVICES[2]})})

    assert RegressionGate(base).judge(held).status is GateStatus.PASSED
    assert RegressionGate(base).judge(whole()).status is GateStatus.FAILED


@pytest.mark.parametrize("case", CASES)
def test_a_regression_gate_wants_every_round_of_the_base(case: str) -> None:
    base = tuple(trial for trial in of_run(Arm.BASE) if not at(case, DEVICES[1])(trial))

    judged = RegressionGate(base).judge(whole())
    assert judged.status is GateStatus.ERRORED
    assert "merge base: 3 of 9 planned measurements are missing" in " ".join(each.message for each in judged.findings)


def test_a_head_without_a_time_is_not_better_than_its_base() -> None:
    judged = RegressionGate(tuple(of_run(Arm.BASE))).judge(changed(whole(), at(CASE, DEVICES[1]), wall_us=None))

    assert judged.status is GateStatus.ERRORED


@pytest.mark.parametrize("us", [None, float("nan"), float("inf"), 0.0, -5.0])
def test_a_trial_without_a_time_passes_no_budget(us: float | None) -> None:
    judged = BudgetGate().judge(changed(whole(), at(OTHER, DEVICES[0]), wall_us=us))

    assert judged.status is GateStatus.ERRORED
    assert "3 of 9 trials have no simulated time" in judged.findings[-1].message


def test_a_time_of_another_clock_is_no_time() -> None:
    judged = BudgetGate().judge(changed(whole(), at(OTHER, DEVICES[0], 0), clock=Clock.MEASURED))

    assert judged.status is GateStatus.ERRORED


def test_over_the_ceiling_outweighs_a_missing_time() -> None:
    slow = changed(whole(), at(CASE, DEVICES[0]), wall_us=500.0)

    assert BudgetGate().judge(changed(slow, at(OTHER, DEVICES[0], 0), wall_us=None)).status is GateStatus.FAILED


@pytest.mark.parametrize(
    ("above", "status"), [(0.0049, GateStatus.PASSED), (0.0051, GateStatus.FAILED), (0.0, GateStatus.PASSED)]
)
@pytest.mark.parametrize("limit", ["ceiling", "ratchet"])
def test_a_limit_is_inclusive_to_half_of_the_last_digit(above: float, status: GateStatus, limit: str) -> None:
    us = WALL_US[CASE] - above
    budget = Budget(us, None, "published") if limit == "ceiling" else Budget(None, us, "published")

    assert BudgetGate().judge(whole(budgets={CASE: budget})).status is status


def noisy(*samples: float, devices: int = 1) -> Evidence:
    """Measured times of both cases: `samples` of `CASE`, the same on each device."""
    trials = [
        trial.model_copy(update={"clock": Clock.MEASURED, "repeat": repeat, "wall_us": us, "attempt": 0})
        for trial in of_run()
        if trial.repeat == 0 and trial.device in DEVICES[:devices]
        for repeat, us in enumerate(samples)
    ]
    budgets = {case: Budget(100.0, None, "published") for case in CASES}
    slots = {device: slot for slot, device in enumerate(DEVICES)}
    planned = tuple((each.case, slots[each.device], each.repeat) for each in trials)
    return whole(
        trials=tuple(trials),
        planned=tuple(PlannedMeasurement(*each) for each in planned),
        clock=Clock.MEASURED,
        noisy=True,
        budgets=budgets,
    )


@pytest.mark.parametrize(
    ("samples", "looks", "status"),
    [
        ((99.0,), 1, GateStatus.INCONCLUSIVE),
        ((99.0,) * 4, 1, GateStatus.INCONCLUSIVE),
        ((99.0,) * 5, 1, GateStatus.PASSED),
        ((100.0,) * 5, 1, GateStatus.PASSED),  # at the limit is within it
        ((101.0,) * 4, 1, GateStatus.INCONCLUSIVE),
        ((101.0,) * 5, 1, GateStatus.FAILED),
        ((99.0,) * 6, 4, GateStatus.INCONCLUSIVE),  # four looks: 5 % / 4 is less than ½⁶
        ((99.0,) * 7, 4, GateStatus.PASSED),
        ((101.0,) * 6, 4, GateStatus.INCONCLUSIVE),
        ((101.0,) * 7, 4, GateStatus.FAILED),
    ],
)
def test_a_noisy_budget_needs_as_many_samples_as_its_looks_ask_for(
    samples: tuple[float, ...], looks: int, status: GateStatus
) -> None:
    assert BudgetGate().judge(replace(noisy(*samples), looks=looks)).status is status


def test_one_slow_device_among_many_fails_only_beyond_the_corrected_chance() -> None:
    """Of three devices and one look there are four questions: 5 % / 4 is more than ½⁷ and less than ½⁶."""
    for samples, status in ((6, GateStatus.INCONCLUSIVE), (7, GateStatus.FAILED)):
        evidence = noisy(*[99.0] * samples, devices=3)
        slow = changed(evidence, at(CASE, DEVICES[1]), wall_us=101.0)

        judged = BudgetGate().judge(slow)
        assert judged.status is (status if status is GateStatus.FAILED else judged.status)
        assert (judged.status is GateStatus.FAILED) is (status is GateStatus.FAILED)


def test_the_program_of_the_build_is_the_one_that_counts() -> None:
    other = changed(whole(), at(OTHER, DEVICES[2]), fingerprint="d" * 64, **wrong("q", "other bits"))

    judged = DeterminismGate().judge(other)
    assert judged.status is GateStatus.ERRORED
    assert "2 different programs" in judged.findings[0].message
    assert {each.status for each in judged.findings} == {GateStatus.ERRORED}, "nothing is said of races"
    assert ToleranceGate().judge(other).status is GateStatus.ERRORED
    assert suspect_devices(other) == frozenset()


def test_a_trial_that_names_no_program_is_not_of_the_one_the_others_name() -> None:
    assert DeterminismGate().judge(changed(whole(), at(OTHER, DEVICES[2], 0), fingerprint="")).status is (
        GateStatus.ERRORED
    )


def test_a_build_of_another_program_than_every_trials_is_no_pass() -> None:
    assert DeterminismGate().judge(whole(programs={CASE: "d" * 64})).status is GateStatus.ERRORED


def test_a_wrong_first_launch_fails_and_its_time_does_not_count() -> None:
    slow = [trial.model_copy(update={"repeat": -1, "wall_us": 9_000.0}) for trial in of_run() if trial.repeat == 0]
    steady = whole(warm_ups=tuple(slow))
    assert BudgetGate().judge(steady).status is GateStatus.PASSED
    assert DeterminismGate().judge(steady).status is GateStatus.PASSED

    bad = whole(warm_ups=altered(slow, at(OTHER), **wrong("kv", "first launch")))
    assert ToleranceGate().judge(bad).status is GateStatus.FAILED
    assert "on the first launch" in ToleranceGate().judge(bad).findings[0].message
    assert DeterminismGate().judge(bad).status is GateStatus.FAILED
    assert "odd repeats the first launch" in DeterminismGate().judge(bad).findings[0].message


def test_a_warm_up_stands_in_for_no_planned_trial() -> None:
    warm = tuple(trial.model_copy(update={"repeat": -1}) for trial in of_run() if trial.repeat == 0)

    assert ToleranceGate().judge(without(whole(warm_ups=warm), at(CASE, "", 0))).status is GateStatus.ERRORED


@pytest.mark.parametrize("case", CASES)
def test_a_control_is_held_to_its_own_case(case: str) -> None:
    controls = altered(control_trials(), at(case), wall_us=WALL_US[OTHER if case == CASE else CASE])

    judged = ControlGate(controls).judge(whole())
    assert {(each.case, each.status) for each in judged.findings} == {(case, GateStatus.ERRORED)}


@pytest.mark.parametrize("case", CASES)
def test_the_second_draw_of_every_case_is_wanted(case: str) -> None:
    one = tuple(trial for trial in control_trials() if trial.case != case)
    failed = altered(control_trials(), at(case), status=TrialStatus.ERRORED)

    for controls in (one, failed):
        judged = ControlGate(controls).judge(whole())
        assert {(each.case, each.status) for each in judged.findings} == {(case, GateStatus.ERRORED)}


@pytest.mark.parametrize("change", [{"wall_us": None}, {"clock": Clock.MEASURED}, {"outputs": {}}])
def test_a_second_draw_without_time_or_outputs_is_no_pass(change: dict[str, object]) -> None:
    assert ControlGate(altered(control_trials(), at(OTHER), **change)).judge(whole()).status is GateStatus.ERRORED


def test_a_second_draw_on_a_device_without_other_trials_compares_with_nothing_on_a_noisy_clock() -> None:
    controls = altered(control_trials(), at(CASE), device="n9/0")

    assert ControlGate(controls).judge(whole()).status is GateStatus.PASSED  # exact times are the same everywhere
    assert ControlGate(controls).judge(whole(noisy=True)).status is GateStatus.ERRORED


def test_the_second_look_asks_the_suspect_alone_and_everybody_about_a_race() -> None:
    assert second_look(odd_device(OTHER)) == {OTHER: frozenset({DEVICES[2]})}

    raced = changed(whole(), at(CASE, DEVICES[0], 1), **with_output("q", output("raced")))
    assert second_look(raced) == {CASE: frozenset(DEVICES)}
    assert suspect_devices(raced) == frozenset()
    assert distrusted_devices(raced) == {CASE: frozenset({DEVICES[0]})}


def test_two_dies_of_one_card_are_one_witness() -> None:
    odd = changed(
        whole(), lambda trial: trial.case == CASE and trial.device != DEVICES[0], **with_output("q", output("x"))
    )
    assert suspect_devices(odd) == {DEVICES[0]}

    one_card = replace(odd, cards={DEVICES[1]: "card", DEVICES[2]: "card"})
    assert suspect_devices(one_card) == frozenset()
    judged = DeterminismGate().judge(one_card)
    assert (judged.status, "one more card tells" in judged.findings[0].message) == (GateStatus.ERRORED, True)


def test_a_card_is_called_unsteady_only_beside_enough_steady_ones() -> None:
    odd = {"c0": 6}

    assert unsteady_cards(odd, {"c0": 6, "c1": 60, "c2": 60}) == frozenset()
    assert unsteady_cards(odd, {"c0": 6, "c1": 60, "c2": 60, "c3": 60}) == {"c0"}


def test_both_ends_of_an_interval_have_half_of_the_error() -> None:
    """Of 101 evenly spread rounds the median's spread is normal: ± 2.326 standard deviations hold 98 % of it."""
    rounds = {"d": [(100.0, 100.0 + step / 10) for step in range(101)]}
    found = ratio_interval(rounds, 0.98)

    # A quantile of n draws has a standard deviation of ½ / (√n · density); here in hundredths of a µs per µs.
    expected = 2.326 * 0.5 / 101**0.5 * 0.1
    assert found.high - found.ratio == pytest.approx(expected, rel=0.05)
    assert found.ratio - found.low == pytest.approx(expected, rel=0.05)


def test_a_lost_attempt_is_no_measurement_and_not_held_against_anybody() -> None:
    more = whole()
    more = replace(more, trials=(*more.trials, lost(DEVICES[0], 1, case=OTHER)))

    assert {gate: GATES[gate].judge(more).status for gate in GATES} == dict.fromkeys(GATES, GateStatus.PASSED)


def test_a_wrong_first_launch_of_the_base_is_not_held_against_the_head() -> None:
    base = [trial.model_copy(update={"repeat": -1}) for trial in of_run(Arm.BASE) if trial.repeat == 0]
    evidence = whole(warm_ups=altered(base, at(CASE), **wrong("q", "of the base")))

    assert ToleranceGate().judge(evidence).status is GateStatus.PASSED
    assert DeterminismGate().judge(evidence).status is GateStatus.PASSED
