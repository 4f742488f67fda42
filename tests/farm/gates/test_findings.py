"""What the gates say, word by word: a verdict that names the wrong device or the wrong number sends somebody astray."""

from __future__ import annotations

from dataclasses import replace

import pytest

from farm.gates.budget import BudgetGate, budget_records, medians
from farm.gates.claims import ClaimGate, describe
from farm.gates.control import ControlGate
from farm.gates.determinism import DeterminismGate, distrusted_devices
from farm.gates.divergence import Explanation, divergences
from farm.gates.self_disagreement import chance, unsteady_cards
from farm.gates.tolerance import ToleranceGate
from farm.gates.verdict import decide
from farm.gates.votes import majority, minority
from farm.model.budgets import Budget
from farm.model.run import BudgetRecord, Finding, GateRecord, GateStatus, Verdict
from jobs.records import ClaimRecord, TrialRecord, TrialStatus
from kernel.clock import Clock
from tests.farm.evidence import (
    CASE,
    CASES,
    DEVICES,
    OTHER,
    PROGRAMS,
    altered,
    changed,
    control_trials,
    evidence,
    lost,
    of_run,
    output,
    trial,
    votes,
    whole,
    with_output,
)


def said(judged: GateRecord) -> list[tuple[object, ...]]:
    return [(each.case, each.device, each.repeat, each.output, each.message) for each in judged.findings]


@pytest.mark.parametrize(
    ("tolerance", "message"),
    [
        ({}, "1 of 4 elements (25.0%) is an outlier, 0 allowed; worst at [0, 0]: 1 for 2"),
        ({"worst_actual": None}, "1 of 4 elements (25.0%) is an outlier, 0 allowed; worst at [0, 0]"),
        ({"nonfinite": 3}, "3 NaN or Inf elements, the first at [0, 0]"),
        ({"problem": "'q' has shape [1], expected [2]", "nonfinite": 3}, "'q' has shape [1], expected [2]"),
    ],
)
@pytest.mark.parametrize(("repeat", "launch"), [(0, ""), (-1, "on the first launch: ")])
def test_tolerance_says_what_is_wrong_with_the_numbers(
    tolerance: dict[str, object], message: str, repeat: int, launch: str
) -> None:
    wrong = output("q same", passed=False)
    numbers = wrong.tolerance.model_copy(update={"worst_expected": 2.0, **tolerance})
    outputs = {"q": wrong.model_copy(update={"tolerance": numbers}), "kv": output("kv same")}
    warm = [each.model_copy(update={"repeat": -1}) for each in of_run() if each.repeat == 0]
    held = whole(warm_ups=tuple(warm))
    chosen = (OTHER, DEVICES[1], repeat)
    trials = held.warm_ups if repeat < 0 else held.trials
    odd = altered(trials, lambda each: (each.case, each.device, each.repeat) == chosen, outputs=outputs)
    held = replace(held, warm_ups=odd) if repeat < 0 else replace(held, trials=odd)

    assert said(ToleranceGate().judge(held)) == [
        (OTHER, DEVICES[1], repeat, "q", launch + message),
    ]


@pytest.mark.parametrize(
    ("claim", "line"),
    [
        (ClaimRecord(passed=False, wrong=3, total=8), "3 of 8 elements are wrong"),
        (ClaimRecord(passed=False, max_abs_err=0.5, detail="more"), "largest error 0.5"),
        (ClaimRecord(passed=False, first="[0] 1 for 2"), "the first: [0] 1 for 2"),
        (
            ClaimRecord(passed=False, wrong=0, total=8, max_abs_err=0.0, first="[1]"),
            "0 of 8 elements are wrong; largest error 0; the first: [1]",
        ),
        (ClaimRecord(passed=False, detail="mismatch"), "mismatch"),
        (ClaimRecord(passed=False), "wrong by the harness's word, which says no more"),
    ],
)
def test_a_claim_is_repeated_in_one_line(claim: ClaimRecord, line: str) -> None:
    assert describe(claim) == line
    right = [trial(device, 0, outputs={}, claims={"q": ClaimRecord(passed=True)}) for device in ("d0", "d1")]
    wrong = altered(right, lambda each: each.device == "d1", claims={"q": claim})

    judged = ClaimGate().judge(evidence(wrong))
    assert (judged.name, judged.status) == ("tolerance", GateStatus.FAILED)
    assert said(judged) == [(CASE, "d1", 0, "q", line)]


def test_a_claim_nobody_made_is_no_pass_unless_none_is_required() -> None:
    passed, silent = (trial("d0", 0, outputs={}, claims=claims) for claims in ({"q": ClaimRecord(passed=True)}, {}))

    assert ClaimGate().judge(evidence([passed])) == GateRecord(name="tolerance", status=GateStatus.PASSED, findings=[])
    assert said(ClaimGate().judge(evidence([silent]))) == [(CASE, "d0", 0, "q", "output q was not compared")]
    assert said(ClaimGate().judge(evidence([], planned=evidence([passed]).planned)))[-1][-1] == (
        "no trial compared any output"
    )
    nameless = evidence([silent], outputs={})
    assert said(ClaimGate().judge(nameless)) == [(CASE, None, None, None, "it has no output to judge")]
    assert ClaimGate(outputs_required=False).judge(nameless).status is GateStatus.PASSED


def gate(name: str, status: GateStatus, *findings: Finding) -> GateRecord:
    return GateRecord(name=name, status=status, findings=list(findings))


PASSED = gate("tolerance", GateStatus.PASSED)
NOTE = Finding(message="a mere note", case=OTHER, status=GateStatus.PASSED)


@pytest.mark.parametrize(
    ("judged", "reason"),
    [
        (gate("budget", GateStatus.INCONCLUSIVE), "inconclusive"),
        (gate("budget", GateStatus.ERRORED), "budget errored"),
        (gate("budget", GateStatus.FAILED, Finding(message="why")), "budget failed: why"),
        (
            gate("budget", GateStatus.FAILED, NOTE, Finding(message="why", case=CASE, status=GateStatus.FAILED)),
            "budget failed: tiny: why (and 1 more)",
        ),
        (
            gate("determinism", GateStatus.ERRORED, Finding(message="why", case=CASE, output="q", device="d1")),
            "determinism errored: tiny, output q, device d1: why",
        ),
        (
            gate("determinism", GateStatus.ERRORED, *[Finding(message="why", device="d1")] * 3),
            "determinism errored: device d1: why (and 2 more)",
        ),
    ],
)
def test_the_reason_of_a_verdict_is_the_first_finding_that_counts(judged: GateRecord, reason: str) -> None:
    verdict = Verdict.FAILED if judged.status is GateStatus.FAILED else Verdict.ERRORED

    assert decide([], [trial("d0", 0)], [PASSED, judged], "", []) == (verdict, reason)


def test_what_raises_the_doubt_is_the_reason_before_the_gates_that_share_it() -> None:
    names = ("tolerance", "budget", "clock", "determinism")
    judged = [gate(name, GateStatus.ERRORED) for name in names]

    assert decide([], [], judged, "", [])[1] == "determinism errored"
    assert decide([], [], judged[:3], "", [])[1] == "clock errored"
    assert decide([], [], judged[:2], "", [])[1] == "tolerance errored"


def test_a_pass_says_on_how_much_and_what_did_not_apply() -> None:
    failed = lost("d9", 0)
    one, two = [trial("d0", 0), failed], [trial("d0", 0), trial("d0", 1), trial("d1", 0), failed]

    assert decide([], one, [PASSED], "", []) == (Verdict.PASSED, "tolerance passed on 1 trial on 1 device")
    idle = [gate(name, GateStatus.NOT_APPLICABLE) for name in ("budget", "regression")]
    assert decide([], two, [PASSED, *idle, gate("determinism", GateStatus.PASSED)], "", [])[1] == (
        "tolerance, determinism passed on 3 trials on 2 devices; not applicable: budget, regression"
    )


def measured(*samples: float) -> list[TrialRecord]:
    return [trial("d0", repeat, wall_us=us, clock=Clock.MEASURED) for repeat, us in enumerate(samples)]


def test_medians_have_an_interval_on_a_noisy_clock_where_there_are_enough_samples() -> None:
    def of(*samples: float) -> object:
        held = evidence(measured(*samples), noisy=True, clock=Clock.MEASURED)
        return medians(held)[CASE].interval_us

    assert (of(5.0, 1.0, 2.0, 3.0, 4.0, 6.0), of(1.0, 2.0, 3.0)) == ([1.0, 6.0], None)
    nothing = medians(evidence([]))[CASE]
    assert (nothing.overall, nothing.mad_us, nothing.samples, nothing.per_device) == (None, None, [], {})


def test_the_budgets_of_a_run_are_recorded_as_they_were_held() -> None:
    assert budget_records(whole()) == {
        case: BudgetRecord(clock=Clock.SIMULATED, ceiling_us=1.1 * us, ratchet_us=us, source="published")
        for case, us in {CASE: 100.0, OTHER: 200.0}.items()
    }


LIMIT = Budget(100.0, None, "published")


@pytest.mark.parametrize(
    ("samples", "looks", "messages"),
    [
        ((99.0,) * 4, 1, ["4 samples decide nothing on a noisy clock; at least 5 are needed, raise --repeats"]),
        ((99.0,) * 6, 4, ["6 samples decide nothing on a noisy clock; at least 7 are needed, raise --repeats"]),
        ((99.0, 100.0, 101.0, 102.0, 100.5), 1, ["3 of 5 samples lie above 100.00 µs, with a median of 100.50 µs"]),
        (
            (101.0,) * 5,
            1,
            ["median 101.00 µs is over 100.00 µs", "median 101.00 µs is over 100.00 µs on this device"],
        ),
    ],
)
def test_a_noisy_budget_says_how_much_is_lacking_or_over(
    samples: tuple[float, ...], looks: int, messages: list[str]
) -> None:
    held = evidence(measured(*samples), noisy=True, clock=Clock.MEASURED, budget=LIMIT, looks=looks)

    judged = BudgetGate().judge(held)
    assert [each.message for each in judged.findings] == messages
    assert [each.device for each in judged.findings] == [None, "d0"][: len(messages)]
    assert {each.case for each in judged.findings} == {CASE}


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (Budget(90.0, 80.0, "published"), "median 100.00 µs is over the ceiling of 90.00 µs"),
        (
            Budget(110.0, 80.0, "published"),
            "median 100.00 µs is slower than the best landed 80.00 µs; make it as fast, or add a slower entry with a "
            "written reason to the kernel's budget file",
        ),
        (Budget(None, 120.0, "published"), "faster than the best landed 120.00 µs: land 100.00 µs in the kernel's"),
    ],
)
def test_an_exact_budget_says_which_limit(budget: Budget, message: str) -> None:
    judged = BudgetGate().judge(whole(budgets={CASE: budget}))

    place = (CASE, None if "faster" in message else DEVICES[0], None, None)
    assert said(judged)[0][:4] == place
    assert str(said(judged)[0][4]).startswith(message)
    assert said(judged)[-1] == (OTHER, None, None, None, "the budget file has no entry for this case")


def test_an_improvement_begins_with_the_last_digit_that_is_shown() -> None:
    for above, messages in ((0.004, 0), (0.006, 1)):
        judged = BudgetGate().judge(evidence([trial("d0", 0)], budget=Budget(None, 100.0 + above, "published")))
        assert (judged.status, len(judged.findings)) == (GateStatus.PASSED, messages)


def test_the_second_draw_names_its_device_and_its_share_of_wrong_elements() -> None:
    wrong = altered(control_trials(), lambda each: each.case == OTHER, **with_output("kv", output("x", passed=False)))

    assert said(ControlGate(wrong).judge(whole())) == [
        (
            OTHER,
            DEVICES[0],
            None,
            "kv",
            "wrong on a second draw of the inputs: 1 of 4 elements (25.0%) is an outlier, 0 allowed",
        )
    ]
    untimed = altered(control_trials(), lambda each: each.case == OTHER, wall_us=None)
    assert said(ControlGate(untimed).judge(whole())) == [
        (OTHER, DEVICES[0], None, None, "the second draw of the inputs has no time")
    ]


@pytest.mark.parametrize(
    ("us", "status"), [(125.0, GateStatus.PASSED), (75.0, GateStatus.PASSED), (125.1, GateStatus.FAILED)]
)
def test_a_noisy_second_draw_is_held_to_its_own_device_within_a_quarter(us: float, status: GateStatus) -> None:
    """The other devices are four times as slow, which is nothing to it."""
    head = [trial("d0", repeat) for repeat in range(3)] + [trial("d1", repeat, wall_us=400.0) for repeat in range(3)]
    control = trial("d0", 0, wall_us=us, seed=7)
    held = evidence(head, noisy=True, controls=[control])

    assert ControlGate((control,)).judge(held).status is status


def test_a_second_draw_of_one_of_several_programs_is_not_called_another_program() -> None:
    several = changed(whole(), lambda each: each.case == CASE and each.repeat == 2, fingerprint="d" * 64)
    third = altered(control_trials(), lambda each: each.case == CASE, fingerprint="c" * 64)

    found = " ".join(str(each[-1]) for each in said(ControlGate(third).judge(several)))
    assert "depends on the inputs" not in found
    assert "depends on the inputs: its fingerprint differs" in " ".join(
        str(each[-1]) for each in said(ControlGate(third).judge(whole()))
    )


def test_a_device_without_a_card_is_one_of_its_own() -> None:
    rows = {"d0": {0: "a"}, "d1": {0: "a"}, "d2": {0: "b"}}

    assert (majority(rows), majority(rows, {"d2": "c"}), majority(rows, {"d0": "c", "d1": "c"})) == ("a", "a", None)
    assert (minority(rows), minority(rows, {"d0": "c", "d1": "c"})) == ({"d2"}, set())


@pytest.mark.parametrize(
    ("here", "trials_here", "odd", "trials", "expected"),
    [(1, 3, 1, 9, 1.0), (2, 3, 2, 9, 2 / 8), (3, 4, 3, 12, 3 / 55), (2, 4, 3, 12, 27 / 55), (2, 2, 2, 101, 1 / 100)],
)
def test_the_chance_that_a_card_has_the_odd_trials_is_hypergeometric(
    here: int, trials_here: int, odd: int, trials: int, expected: float
) -> None:
    assert chance(here, trials_here, odd, trials) == pytest.approx(expected, rel=1e-12)


def test_one_chance_in_a_hundred_is_not_yet_proof_against_a_card() -> None:
    others = {"c1": 33, "c2": 33}

    assert unsteady_cards({"c0": 2}, {"c0": 2, "c3": 33, **others}) == frozenset()
    assert unsteady_cards({"c0": 2}, {"c0": 2, "c3": 34, **others}) == {"c0"}


@pytest.mark.parametrize(("cards", "found"), [(39, set()), (40, {"c0", "c1"})])
def test_more_than_one_card_in_twenty_is_no_accident_of_hardware(cards: int, found: set[str]) -> None:
    assert unsteady_cards({"c0": 3, "c1": 3}, {f"c{number}": 3 for number in range(cards)}) == found


def test_the_odd_trials_of_a_card_are_those_of_all_outputs_against_the_steady_cards() -> None:
    """In `q` the steady devices differ: only the votes of their cards, without the racing one's, say what is right."""
    q = {"d0": "bccccc", "d2": "bbbbbb", "d3": "bbbbbb", "d4": "aaaaaa", "d5": "aaaaaa"}
    kv = {device: "xyxxxx" if device == "d0" else "xxxxxx" for device in q}
    trials = [
        trial(device, repeat, outputs={"q": output(letter), "kv": output(kv[device][repeat])})
        for device, row in q.items()
        for repeat, letter in enumerate(row)
    ]
    held = evidence(trials, outputs={CASE: ("q", "kv")}, cards={"d2": "one card", "d3": "one card"})

    found = [(each.output, each.explanation, each.devices) for each in divergences(held, CASE)]
    assert found == [
        ("q", Explanation.RACE, frozenset({"d0"})),
        ("kv", Explanation.UNSTEADY_CARD, frozenset({"d0"})),
    ]


def test_a_card_whose_usual_bits_are_wrong_is_odd_on_all_of_its_trials() -> None:
    rows = {"d0": "abbbbb", "d1": "aaaaaa", "d2": "aaaaaa", "d3": "aaaaaa"}

    assert [each.explanation for each in divergences(evidence(votes(rows)), CASE)] == [Explanation.UNSTEADY_CARD]


def test_what_all_devices_of_a_node_share_is_the_nodes() -> None:
    rows = {"n0/0": "b", "n0/1": "b", "n1/0": "a", "n1/1": "a", "n2/0": "a"}
    judged = DeterminismGate().judge(evidence(votes(rows)))

    assert judged.status is GateStatus.ERRORED
    message = (
        "all devices of its node agree on bits nobody else has, look at what the node gives them: 3 of 5 cards agree "
        "on other bits"
    )
    assert said(judged) == [(CASE, device, None, "q", message) for device in ("n0/0", "n0/1")]
    some = DeterminismGate().judge(evidence(votes({**rows, "n0/2": "a"})))
    assert [each[-1] for each in said(some)] == [
        "the kernel depends on the device: 4 of 6 cards agree on other bits, and 2 cards share these"
    ] * 2


def test_of_two_cards_the_one_with_wrong_numbers_is_distrusted() -> None:
    right, wrong = trial("d0", 0, digest="a"), trial("d1", 0, digest="b", passed=False)
    claims = [{"q": ClaimRecord(passed=passed)} for passed in (True, False)]
    claimed = [
        each.model_copy(update={"outputs": {"q": output(digest)}, "claims": claim})
        for each, digest, claim in zip((right, wrong), "ab", claims, strict=True)
    ]
    both = trial("d0", 0, digest="a", passed=False)

    assert distrusted_devices(evidence([right, wrong])) == {CASE: frozenset({"d1"})}
    assert distrusted_devices(evidence(claimed)) == {CASE: frozenset({"d1"})}
    assert distrusted_devices(evidence([both, wrong])) == {}
    assert distrusted_devices(evidence([right, trial("d1", 0, digest="b")])) == {}


def test_every_case_of_a_run_is_the_one_that_is_spoken_of() -> None:
    missing = tuple(each for each in whole().trials if (each.case, each.device) != (OTHER, DEVICES[2]))
    short = replace(whole(), trials=missing)
    messages = ["3 of 9 planned measurements are missing", "measured on 2 of 3 planned devices"]

    assert said(ToleranceGate().judge(short)) == [(OTHER, None, None, None, message) for message in messages]
    twice = replace(whole(), trials=(*whole().trials, whole().trials[-1]))
    assert [each[-1] for each in said(ToleranceGate().judge(twice))] == [
        "1 measurements more than planned, of repeat 2",
        "the same measurement stands 2 times in the evidence",
    ]
    unplanned = whole(planned=tuple(each for each in whole().planned if each.case == CASE))
    nothing = "nothing was planned for it, so nothing can be proven"
    assert said(ToleranceGate().judge(unplanned)) == [(OTHER, None, None, None, nothing)]


def test_other_programs_are_named_with_where_they_ran() -> None:
    other = changed(whole(), lambda each: (each.case, each.device) == (OTHER, DEVICES[1]), fingerprint="d" * 64)
    unnamed = changed(other, lambda each: (each.case, each.device) == (OTHER, DEVICES[2]), fingerprint="")
    head = "the same request was compiled to {} different programs, so they are not compared: "

    assert said(DeterminismGate().judge(other)) == [
        (OTHER, None, None, None, head.format(2) + "dddddddddddd (n0/1); eeeeeeeeeeee (the build, n0/0, n1/0)")
    ]
    assert said(DeterminismGate().judge(unnamed))[0][-1] == (
        head.format(3) + "unnamed (n1/0); dddddddddddd (n0/1); eeeeeeeeeeee (the build, n0/0)"
    )
    assert {each.status for each in whole().trials} == {TrialStatus.OK, TrialStatus.ERRORED}
    assert (CASES, PROGRAMS[OTHER][:1]) == ((CASE, OTHER), "e")
