"""Several things at once in one case: each keeps its own status, and what is proven outweighs what is lacking."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from farm.gates.budget import BudgetGate
from farm.gates.determinism import DeterminismGate, second_look, suspect_devices
from farm.gates.divergence import Explanation, divergences
from farm.gates.protocol import Gate
from farm.gates.tolerance import ToleranceGate
from farm.model.budgets import Budget
from farm.model.run import GateRecord, GateStatus
from jobs.records import TrialRecord
from tests.farm.evidence import (
    CASE,
    DEVICES,
    OTHER,
    OUTPUTS,
    altered,
    changed,
    evidence,
    output,
    trial,
    votes,
    whole,
    with_output,
)

FAILED, ERRORED = GateStatus.FAILED, GateStatus.ERRORED


def statuses(judged: GateRecord) -> list[GateStatus | None]:
    return [each.status for each in judged.findings]


def short(trials: tuple[TrialRecord, ...]) -> tuple[TrialRecord, ...]:
    """Without the last trial of the first case."""
    return tuple(each for each in trials if (each.case, each.device, each.repeat) != (CASE, DEVICES[2], 2))


def test_a_wrong_output_beside_a_missing_trial_of_its_case_fails() -> None:
    wrong = changed(whole(), lambda each: each.device == DEVICES[0], **with_output("q", output("q same", passed=False)))
    judged = ToleranceGate().judge(replace(wrong, trials=short(wrong.trials), cases=(CASE,)))

    assert (judged.status, statuses(judged)) == (FAILED, [FAILED] * 3 + [ERRORED])


def test_a_wrong_output_outweighs_another_case_without_outputs() -> None:
    held = whole(outputs={CASE: OUTPUTS, OTHER: ()})
    wrong = changed(held, lambda each: each.case == CASE, **with_output("q", output("q same", passed=False)))

    assert ToleranceGate().judge(wrong).status is FAILED
    assert statuses(ToleranceGate().judge(held)) == [ERRORED]


def test_every_doubtful_output_of_a_suspect_device_is_named_beside_what_is_missing() -> None:
    outputs = {name: output(f"{name} same", passed=False) for name in OUTPUTS}
    wrong = changed(whole(), lambda each: (each.case, each.device) == (CASE, DEVICES[0]), outputs=outputs)
    held = replace(wrong, trials=short(wrong.trials), suspects={CASE: frozenset({DEVICES[0]})}, cases=(CASE,))

    judged = ToleranceGate().judge(held)
    assert len(judged.findings) == 1 + 3 * 2
    assert set(statuses(judged)) == {ERRORED}
    nothing = ToleranceGate().judge(evidence([]))
    assert {each.case for each in nothing.findings} == {CASE}


def test_over_budget_beside_a_missing_time_of_its_case_fails() -> None:
    slow = changed(whole(), lambda each: (each.case, each.device) == (CASE, DEVICES[0]), wall_us=900.0)
    untimed = changed(slow, lambda each: (each.case, each.device, each.repeat) == (CASE, DEVICES[1], 1), wall_us=None)

    judged = BudgetGate().judge(untimed)
    assert (judged.status, statuses(judged)) == (FAILED, [FAILED, ERRORED])
    assert [each.message for each in judged.findings][1:] == ["1 of 9 trials have no simulated time"]
    assert {each.case for each in judged.findings} == {CASE}
    nothing = BudgetGate().judge(evidence([trial("d0", 0, wall_us=None)]))
    assert [(each.case, each.message) for each in nothing.findings] == [(CASE, "no wall time was measured")]


def test_a_case_without_a_budget_says_so_beside_its_missing_time() -> None:
    judged = BudgetGate().judge(evidence([trial("d0", 0), trial("d1", 0, wall_us=None)]))

    assert (judged.status, statuses(judged)) == (ERRORED, [GateStatus.NOT_APPLICABLE, ERRORED])


@pytest.mark.parametrize("gate", [BudgetGate(), DeterminismGate(), ToleranceGate()])
def test_a_run_without_a_case_is_errored_with_the_reason(gate: Gate) -> None:
    judged = gate.judge(replace(whole(), cases=()))

    assert (judged.status, statuses(judged)) == (ERRORED, [ERRORED])
    assert [each.message for each in judged.findings] == ["the run has no case to judge"]


def test_a_budget_without_a_limit_is_none() -> None:
    judged = BudgetGate().judge(evidence([trial("d0", 0)], budget=Budget(None, None, "")))

    assert judged.status is GateStatus.NOT_APPLICABLE


def test_a_race_beside_a_missing_trial_of_its_case_fails() -> None:
    raced = with_output("q", output("raced"))
    held = changed(whole(), lambda each: (each.case, each.repeat) == (CASE, 1) and each.device in DEVICES[:2], **raced)
    judged = DeterminismGate().judge(replace(held, trials=short(held.trials)))

    assert (judged.status, statuses(judged)) == (FAILED, [FAILED, FAILED, ERRORED])


def test_one_trial_of_two_that_were_planned_is_errored() -> None:
    two = evidence([trial("d0", 0), trial("d1", 0)])

    assert DeterminismGate().judge(replace(two, trials=two.trials[:1])).status is ERRORED


def test_bits_that_prove_nothing_cast_no_suspicion() -> None:
    odd = altered(whole().trials, lambda each: each.device == DEVICES[0], **with_output("q", output("odd")))
    random = whole(trials=odd, incomparable=dict.fromkeys((CASE, OTHER), "its outputs are random"))

    assert (suspect_devices(random), second_look(random)) == (frozenset(), {})
    assert suspect_devices(whole(trials=odd)) == {DEVICES[0]}


def explanations(rows: dict[str, str], **more: Any) -> list[Explanation]:
    return [each.explanation for each in divergences(evidence(votes(rows), **more), CASE)]


def test_a_card_that_disagrees_with_itself_is_no_proof_beside_one_that_does_not() -> None:
    assert explanations({"d0": "aaa", "d1": "baa"}) == [Explanation.RACE_OR_CARD]
    assert explanations({"d0": "aba", "d1": "aaa"}, cards={"d0": "c", "d1": "c"}) == [Explanation.RACE]


def test_a_node_with_one_device_is_not_blamed_for_its_card() -> None:
    rows = {"n0/0": "b", "n1/0": "a", "n1/1": "a"}

    assert explanations(rows) == [Explanation.CARD_OR_DEPENDENCE]
    assert explanations(rows, outputs={}) == []


def test_repeats_that_a_device_measured_twice_all_count() -> None:
    trials = [trial("d0", repeat, digest=digest, log=digest) for repeat in range(2) for digest in "aab"]
    (found,) = divergences(evidence([*trials, trial("d1", 0, digest="a")]), CASE)

    assert sorted(found.digests["d0"].values()) == sorted("aabaab")
    assert min(found.digests["d0"]) == 0


def test_a_warm_up_among_the_trials_is_not_measured() -> None:
    warm = trial("d0", -1)

    assert evidence([warm, trial("d0", 0)]).measured(CASE) == [trial("d0", 0)]


def test_of_several_programs_only_that_of_the_build_is_trusted() -> None:
    rows = [trial("d0", 0), trial("d1", 0, fingerprint="d" * 64), trial("d2", 0, fingerprint="")]

    assert evidence(rows, programs={CASE: "d" * 64, OTHER: "f" * 64}).trusted(CASE) == [rows[1]]
    assert evidence(rows).trusted(CASE) == []
    assert evidence(rows, programs={CASE: ""}).trusted(CASE) == []


def test_where_no_trial_names_a_program_there_is_none_to_compare() -> None:
    unnamed = [trial("d0", 0, fingerprint=""), trial("d1", 0, fingerprint="")]
    held = evidence(unnamed, programs={CASE: "f" * 64})

    assert held.fingerprints(CASE) == evidence([]).fingerprints(CASE) == frozenset()
    assert held.trusted(CASE) == unnamed


def test_an_unnamed_program_without_a_build_is_not_called_the_build() -> None:
    judged = DeterminismGate().judge(evidence([trial("d0", 0), trial("d1", 0, fingerprint="")]))

    assert "unnamed (d1); ffffffffffff (d0)" in judged.findings[0].message


def test_a_case_of_which_nothing_was_measured_says_so_once() -> None:
    judged = ToleranceGate().judge(evidence([], planned=evidence([trial("d0", 0)]).planned))

    assert [each.message for each in judged.findings] == [
        "1 of 1 planned measurements are missing",
        "no trial measured any output",
    ]
