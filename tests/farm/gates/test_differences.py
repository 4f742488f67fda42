"""What the determinism gate says of outputs that differ, of several cases and outputs at once."""

from __future__ import annotations

from dataclasses import replace

from farm.gates.determinism import (
    DeterminismGate,
    distrusted_devices,
    other_card_look,
    second_look,
    suspect_devices,
    unsteady_devices,
)
from farm.gates.divergence import Explanation, divergences
from farm.gates.protocol import Evidence, gravest
from farm.model.run import Finding, GateStatus
from jobs.records import ClaimRecord
from tests.farm.evidence import (
    CASE,
    CASES,
    DEVICES,
    OTHER,
    OUTPUTS,
    changed,
    evidence,
    of_run,
    output,
    trial,
    votes,
    whole,
)


def findings(held: Evidence) -> list[Finding]:
    return DeterminismGate().judge(held).findings


def odd(held: Evidence, case: str, name: str, device: str, repeat: int | None = None) -> Evidence:
    """`held`, in which output `name` of `case` has other bits on `device`; the outputs beside it stay."""
    rows = [
        each.model_copy(update={"outputs": {**each.outputs, name: output(f"odd {repeat}")}})
        if (each.case, each.device) == (case, device) and repeat in (None, each.repeat) and each.outputs
        else each
        for each in held.trials
    ]
    assert rows != list(held.trials)
    return replace(held, trials=tuple(rows))


def test_every_output_of_a_case_adds_its_devices() -> None:
    """One card is odd in one output and another in the other: each lost its vote."""
    both = odd(odd(whole(), CASE, "q", DEVICES[0]), CASE, "kv", DEVICES[2])
    expected = frozenset({DEVICES[0], DEVICES[2]})

    assert distrusted_devices(both) == second_look(both) == {CASE: expected}
    assert suspect_devices(both) == expected
    assert distrusted_devices(whole()) == second_look(whole()) == {}
    assert [(each.case, each.output, each.device) for each in findings(both)] == [
        (CASE, "q", DEVICES[0]),
        (CASE, "kv", DEVICES[2]),
    ]


def test_a_race_or_a_card_beside_a_suspect_makes_all_devices_look_again() -> None:
    held = odd(odd(whole(), CASE, "q", DEVICES[0], 1), OTHER, "kv", DEVICES[2])

    assert second_look(held) == {CASE: frozenset(DEVICES), OTHER: frozenset({DEVICES[2]})}
    one_case = odd(odd(whole(), CASE, "q", DEVICES[0], 1), CASE, "kv", DEVICES[0], 2)
    assert second_look(one_case) == {CASE: frozenset(DEVICES)}
    assert second_look(evidence(votes({"d0": "a", "d1": "b"}))) == {}


def test_a_suspect_without_the_output_that_raced_looks_again_as_well() -> None:
    """The outputs are looked at one after the other, and each adds its devices."""
    held = odd(odd(whole(), CASE, "q", DEVICES[0]), CASE, "kv", DEVICES[1], 1)
    without = changed(held, lambda each: (each.case, each.device) == (CASE, DEVICES[0]), outputs={"q": output("odd")})

    assert second_look(without) == {CASE: frozenset(DEVICES)}


def test_the_odd_repeats_are_named_and_the_other_cards_counted() -> None:
    once = odd(odd(whole(), CASE, "q", DEVICES[1], 0), CASE, "kv", DEVICES[1], 2)
    head = "either the kernel races or this card is unsteady: the device disagrees with itself, 2 different results, "
    tail = ", and no other of 2 cards does; run more repeats on more cards to tell"

    assert [(each.device, each.repeat, each.output, each.message) for each in findings(once)] == [
        (DEVICES[1], 0, "q", f"{head}odd repeats 0{tail}"),
        (DEVICES[1], 2, "kv", f"{head}odd repeats 2{tail}"),
    ]
    dies = replace(once, cards={DEVICES[0]: "one", DEVICES[2]: "one"})
    assert f"odd repeats 0{tail.replace('2 cards', '1 cards')}" in findings(dies)[0].message


def test_two_odd_repeats_of_two_kinds_are_all_named() -> None:
    judged = DeterminismGate().judge(evidence(votes({"d0": "abaca", "d1": "aabaa"})))

    seen = "the kernel races: the device disagrees with itself, {} different results, odd repeats {}"
    assert [each.message for each in judged.findings] == [seen.format(3, "1, 3"), seen.format(2, "2")]
    assert [each.repeat for each in judged.findings] == [1, 2]


def test_an_odd_first_launch_is_named_as_that_and_with_the_other_odd_ones() -> None:
    warm = [each.model_copy(update={"repeat": -1}) for each in of_run() if each.repeat == 0]
    wrong = changed(whole(trials=tuple(warm)), lambda each: each.device == DEVICES[0], outputs={"q": output("first")})
    held = whole(warm_ups=wrong.trials, outputs=dict.fromkeys(CASES, ("q",)))
    twice = odd(held, CASE, "q", DEVICES[0], 0)

    named = [each.message.partition("odd repeats ")[2].partition(", and")[0] for each in findings(twice)]
    assert named == ["the first launch, 0", "the first launch"]


def test_the_devices_that_agree_are_named_together_where_nobody_is_right() -> None:
    two = DeterminismGate().judge(evidence(votes({"d0": "a", "d1": "b"})))
    several = DeterminismGate().judge(evidence(votes({"d0": "a", "d1": "a", "d2": "b", "d3": "b"})))

    assert [(each.case, each.output, each.device) for each in (*two.findings, *several.findings)] == [
        (CASE, "q", None)
    ] * 2
    assert two.findings[0].message.startswith(
        "either a card computes wrongly or the kernel depends on the device: 2 devices gave 2 different results "
        "(d0; d1)"
    )
    assert several.findings[0].message == (
        "the kernel depends on the device: 4 devices gave 2 different results (d0 = d1; d2 = d3)"
    )


def test_a_suspect_is_named_with_the_votes_of_cards_and_its_repeats() -> None:
    held = odd(whole(), OTHER, "kv", DEVICES[0])
    found = findings(replace(held, looked_again=frozenset({DEVICES[1]})))

    assert [(each.case, each.device, each.repeat, each.output) for each in found] == [(OTHER, DEVICES[0], None, "kv")]
    assert found[0].message.startswith(
        "device is suspect: 2 of 3 cards agree on other bits, the same on all 3 repeats of this one;"
    )
    again = findings(replace(held, looked_again=frozenset({DEVICES[0]})))
    assert again[0].message.startswith("device is suspect, twice looked at: 2 of 3 cards")


def test_every_output_without_a_digest_is_named_with_its_trial() -> None:
    chosen = (OTHER, DEVICES[2], 1)
    lacking = changed(
        whole(),
        lambda each: (each.case, each.device, each.repeat) == chosen,
        outputs={"q": output("q same"), "kv": output("")},
    )

    assert [(each.case, each.device, each.repeat, each.output, each.message) for each in findings(lacking)] == [
        (*chosen, "kv", "the output has no digest")
    ]
    nameless = findings(whole(outputs={CASE: OUTPUTS}))
    assert [(each.case, each.message) for each in nameless] == [(OTHER, "it has no output to compare")]


def test_what_cannot_be_compared_or_stands_alone_is_said_of_its_case() -> None:
    why = "its outputs are random"
    judged = DeterminismGate().judge(odd(whole(incomparable={OTHER: why}), OTHER, "q", DEVICES[0], 1))
    assert (judged.status, [(each.case, each.message) for each in judged.findings]) == (
        GateStatus.PASSED,
        [(OTHER, why)],
    )
    alone = findings(evidence([trial("d0", 0)]))
    assert [(each.case, each.message) for each in alone] == [
        (CASE, "one trial on one device has nothing to be compared with; ask for more devices or repeats")
    ]
    assert [(each.case, each.message) for each in findings(evidence([]))] == [(CASE, "no trial measured any output")]


def test_without_a_right_result_a_cards_own_usual_bits_are_the_right_ones() -> None:
    """In `q` no digest has a majority, so one repeat of `d0` is odd there, and one in `kv`: too few for a proof."""
    q = {"d0": "bccccc", "d2": "bbbbbb", "d3": "bbbbbb", "d4": "aaaaaa", "d5": "aaaaaa"}
    kv = {device: "xyxxxx" if device == "d0" else "xxxxxx" for device in q}
    trials = [
        trial(device, repeat, outputs={"q": output(letter), "kv": output(kv[device][repeat])})
        for device, row in q.items()
        for repeat, letter in enumerate(row)
    ]

    found = divergences(evidence(trials, outputs={CASE: ("q", "kv")}), CASE)
    assert [each.explanation for each in found] == [Explanation.RACE, Explanation.RACE_OR_CARD]


def test_of_two_cards_that_only_claim_the_one_that_says_wrong_is_distrusted() -> None:
    claims = [ClaimRecord(passed=True, sha256="a"), ClaimRecord(passed=False, sha256="b")]
    trials = [trial(f"d{number}", 0, outputs={}, claims={"q": claim}) for number, claim in enumerate(claims)]

    assert distrusted_devices(evidence(trials)) == {CASE: frozenset({"d1"})}


def test_one_device_that_nobody_leased_says_how_many_trials_agree() -> None:
    agree = "one device; its {} trials agree, which says nothing of another device"

    assert [each.message for each in findings(evidence(votes({"d0": "a"}), local=True))] == ["one device"]
    both = findings(evidence(votes({"d0": "aa"}), local=True))
    assert [(each.case, each.message) for each in both] == [(CASE, agree.format(2))]


def explanations(rows: dict[str, str], **cards: str) -> list[tuple[Explanation, frozenset[str]]]:
    held = evidence(votes(rows), cards=cards)
    return [(each.explanation, each.devices) for each in divergences(held, CASE)]


def test_the_largest_group_is_the_one_of_most_cards() -> None:
    """Three dies of the unsteady card agree with each other against two cards, and are one witness."""
    for dies, others in (("d4 d5 d6", "d2 d3"), ("d1 d2 d3", "d4 d5")):
        rows = {"d0": "bxb", **dict.fromkeys(dies.split(), "aaa"), **dict.fromkeys(others.split(), "bbb")}
        found = explanations(rows, d0="c0", **dict.fromkeys(dies.split(), "c0"))
        assert found == [(Explanation.RACE_OR_CARD, frozenset({"d0"}))]


def test_two_dies_of_one_card_may_be_broken_in_the_same_place_and_two_cards_not() -> None:
    rows = {"d0": "b", "d1": "b", "d2": "a", "d3": "a", "d4": "a"}

    assert explanations(rows, d0="c", d1="c") == [(Explanation.CARD_OR_DEPENDENCE, frozenset({"d0", "d1"}))]
    assert explanations(rows) == [(Explanation.DEPENDENCE, frozenset({"d0", "d1"}))]


def test_an_output_that_nobody_has_shows_no_difference() -> None:
    assert divergences(whole(outputs={CASE: (*OUTPUTS, "absent")}), CASE) == []


def test_another_card_is_asked_where_the_card_or_the_program_may_be_the_cause() -> None:
    two = evidence(votes({"d0": "a", "d1": "b"}))
    both = odd(odd(whole(), CASE, "q", DEVICES[0]), CASE, "kv", DEVICES[2])

    assert other_card_look(two) == {CASE: frozenset({"d0", "d1"})}
    assert other_card_look(both) == {CASE: frozenset({DEVICES[0], DEVICES[2]})}
    assert other_card_look(replace(both, unfit=frozenset({DEVICES[0]}))) == {CASE: frozenset({DEVICES[2]})}
    assert other_card_look(replace(two, unfit=frozenset({"d0", "d1"}))) == {}
    assert other_card_look(odd(whole(), CASE, "q", DEVICES[0], 1)) == {}


def test_an_unsteady_card_is_known_by_its_devices_alone() -> None:
    rows = {"d0": "abbbbb", "d1": "aaaaaa", "d2": "aaaaaa", "d3": "aaaaaa"}

    assert unsteady_devices(evidence(votes(rows))) == {"d0"}
    assert unsteady_devices(odd(whole(), CASE, "q", DEVICES[0])) == frozenset()


def test_a_suspect_that_failed_its_canary_is_at_fault() -> None:
    held = replace(odd(whole(), OTHER, "kv", DEVICES[0]), unfit=frozenset({DEVICES[0]}))

    (found,) = findings(held)
    assert found.message.endswith("repeats of this one; it failed its canary as well, so its card is at fault")
    (other,) = findings(replace(held, unfit=frozenset({DEVICES[1]})))
    assert "it failed its canary" not in other.message


def test_the_gravest_status_counts_and_none_is_not_applicable() -> None:
    order = [GateStatus.FAILED, GateStatus.ERRORED, GateStatus.INCONCLUSIVE, GateStatus.PASSED]

    assert [gravest(order[start:]) for start in range(4)] == order
    assert gravest([]) is gravest([GateStatus.NOT_APPLICABLE]) is GateStatus.NOT_APPLICABLE
