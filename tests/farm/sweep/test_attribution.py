"""Whose fault a disagreement of a sweep is: the truth table, and the traps of it."""

from __future__ import annotations

import random

import pytest

from farm.analysis.sweep_matrix import Fleet
from farm.gates.divergence import TWO_EXPLANATIONS, UNFIT
from farm.model.run import Verdict
from farm.model.sweep import FindingPlace, Kind
from farm.sweep.attribution import attribute, card_or_dependence
from jobs.records import Fault
from tests.farm.sweep_samples import CASE, OUTPUT, REPEATS, cell, failed, fleet, judged, votes

HERE = FindingPlace(case=CASE, seed=0, output=OUTPUT)


@pytest.mark.parametrize(
    ("rows", "kind", "culprits", "confirmed"),
    [
        (["aa", "aa", "aa", "aa"], None, [], True),
        (["aa", "bb", "aa", "aa"], Kind.UNDECIDED, [1], False),
        (["aa", "bbbb", "aa", "aa"], Kind.UNDECIDED, [1], True),
        (["aa", "bb"], Kind.UNDECIDED, [], True),
        (["aa", "bb", "cc"], Kind.DEPENDS_ON_DEVICE, [], True),
        (["aa", "aa", "bb", "bb"], Kind.DEPENDS_ON_DEVICE, [], True),
        (["aa", "ab", "aa", "aa"], Kind.UNDECIDED, [1], False),
        (["aa", "abaa", "aa", "aa"], Kind.UNDECIDED, [1], True),
        (["ab"], Kind.KERNEL_RACES, [0], True),
        (["aa"], None, [], True),
    ],
)
def test_the_bits_of_one_column_name_the_culprit(
    rows: list[str], kind: Kind | None, culprits: list[int], confirmed: bool
) -> None:
    devices = fleet(len(rows))

    found = judged(devices, votes(devices, rows))

    assert [each.kind for each in found] == ([kind] if kind else [])
    for finding in found:
        assert finding.devices == [devices[number].id for number in culprits]
        assert finding.places == [HERE]
        assert finding.confirmed is confirmed


def test_two_lone_devices_with_bits_of_their_own_are_two_open_questions() -> None:
    devices = fleet(6)

    found = judged(devices, votes(devices, ["aa", "bb", "aa", "cc", "aa", "aa"]))

    assert [(each.kind, each.devices) for each in found] == [
        (Kind.UNDECIDED, [devices[1].id]),
        (Kind.UNDECIDED, [devices[3].id]),
    ]
    assert {each.message for each in found} == {f"4 of 6 cards agree on other bits; {TWO_EXPLANATIONS}"}


def test_an_odd_device_that_fails_its_canary_as_well_is_at_fault() -> None:
    devices = fleet(4)
    cells = votes(devices, ["aa", "bb", "aa", "aa"])

    (found,) = attribute(cells, Fleet.of(devices), REPEATS, unfit={devices[1].id})

    assert (found.kind, found.devices) == (Kind.DEVICE_SUSPECT, [devices[1].id])
    assert found.message == f"3 of 4 cards agree on other bits; {UNFIT}"


def test_what_another_card_can_decide_is_a_steady_difference_that_was_looked_at_twice() -> None:
    devices = fleet(4)

    def open_questions(*rows: str) -> list[list[str]]:
        cells = votes(devices, rows)
        return [each.devices for each in card_or_dependence(judged(devices, cells), cells)]

    assert open_questions("aa", "bb", "aa", "aa") == []
    assert open_questions("aa", "bbbb", "aa", "aa") == [[devices[1].id]]
    assert open_questions("aa", "abaa", "aa", "aa") == []
    assert open_questions("aa", "aa", "bb", "bb") == []


def test_of_two_cards_that_disagree_wrong_numbers_of_one_alone_blame_nobody() -> None:
    devices = fleet(2)
    one, both = ({devices[1].id}, {each.id for each in devices})

    def kinds(wrong: set[str]) -> list[Kind]:
        cells = votes(devices, ["aa", "bb"])
        marked = [cell_.model_copy(update={"wrong": [OUTPUT] if cell_.device in wrong else []}) for cell_ in cells]
        return [each.kind for each in judged(devices, marked)]

    assert kinds(one) == [Kind.UNDECIDED]
    assert kinds(both) == [Kind.WRONG_NUMBERS, Kind.UNDECIDED]


def test_wrong_numbers_with_another_seed_than_the_one_that_splits_the_cards_are_the_kernels() -> None:
    devices = fleet(2)
    agreed = votes(devices, ["a", "a"], seed=1)
    agreed[1] = agreed[1].model_copy(update={"wrong": [OUTPUT]})

    found = judged(devices, [*votes(devices, ["aa", "bb"]), *agreed])

    assert [each.kind for each in found] == [Kind.WRONG_NUMBERS, Kind.UNDECIDED]


def test_a_race_on_several_cards_is_the_kernels_and_needs_no_second_look() -> None:
    devices = fleet(6)

    found = judged(devices, votes(devices, ["aa", "ab", "aa", "ba", "aa", "aa"]))

    assert {(each.kind, each.confirmed) for each in found} == {(Kind.KERNEL_RACES, True)}
    assert sorted(device for each in found for device in each.devices) == [devices[1].id, devices[3].id]


def test_the_only_device_that_is_odd_again_and_again_is_the_unsteady_one() -> None:
    devices = fleet(6)
    cells = [each for seed in range(4) for each in votes(devices, ["aa", "ba", "aa", "aa", "aa", "aa"], seed)]
    cells += [
        cell(devices[1].id, repeat, letter, seed=seed) for seed in range(4) for repeat, letter in ((2, "b"), (3, "a"))
    ]

    (found,) = judged(devices, cells)

    assert (found.kind, found.devices, found.confirmed) == (Kind.DEVICE_SUSPECT, [devices[1].id], True)
    assert len(found.places) == 4


def test_a_device_that_was_odd_in_one_trial_is_not_proven_bad() -> None:
    devices = fleet(40)

    (found,) = judged(devices, votes(devices, ["ab", *["aa"] * 39]))

    assert (found.kind, found.kind.verdict) == (Kind.UNDECIDED, Verdict.ERRORED)
    assert "either the kernel races or this card is unsteady" in found.message
    assert "39 other cards" in found.message


def test_an_unsteady_device_does_not_hide_another_bad_one() -> None:
    devices = fleet(7)
    rows = ["aa", "bc", "aa", "aa", "aa", "aa", "dd"]
    cells = [each for seed in range(4) for each in votes(devices, rows, seed)]

    found = judged(devices, cells)

    assert {(each.kind, *each.devices) for each in found} == {
        (Kind.DEVICE_SUSPECT, devices[1].id),
        (Kind.UNDECIDED, devices[6].id),
    }


def test_two_dies_of_one_card_are_one_witness() -> None:
    devices = fleet(5, per_node=5, dies=2)  # cards: 0 and 1, 2 and 3, 4 alone

    together = judged(devices, votes(devices, ["bb", "bb", "aa", "aa", "aa"]))
    against_a_lone_card = judged(devices[:2] + devices[4:], votes(devices[:2] + devices[4:], ["bb", "bb", "aa"]))

    assert {(each.kind, *each.devices) for each in together} == {
        (Kind.UNDECIDED, devices[0].id),
        (Kind.UNDECIDED, devices[1].id),
    }
    assert [each.kind for each in against_a_lone_card] == [Kind.UNDECIDED]


def test_a_node_whose_devices_are_all_wrong_alike_is_looked_at_as_a_node() -> None:
    devices = fleet(8)

    (found,) = judged(devices, votes(devices, ["aa", "aa", "bb", "bb", "aa", "aa", "aa", "aa"]))

    assert (found.kind, found.devices) == (Kind.FARM, ["node1/0", "node1/1"])
    assert "node1" in found.message


def test_cards_of_different_nodes_that_are_wrong_alike_are_not_both_broken() -> None:
    devices = fleet(8)

    (found,) = judged(devices, votes(devices, ["aa", "bb", "aa", "bb", "aa", "aa", "aa", "aa"]))

    assert (found.kind, found.devices) == (Kind.DEPENDS_ON_DEVICE, ["node0/1", "node1/1"])


def test_a_device_that_ran_another_program_is_the_farms_and_votes_with_nobody() -> None:
    devices = fleet(4)
    cells = votes(devices, ["aa", "aa", "aa", "bb"])
    cells = [each.model_copy(update={"fingerprint": "e"}) if each.device == devices[3].id else each for each in cells]

    (found,) = judged(devices, cells)

    assert (found.kind, found.devices, found.places) == (Kind.FARM, [devices[3].id], [FindingPlace(case=CASE)])


def test_wrong_numbers_that_all_agree_on_are_the_kernels() -> None:
    devices = fleet(3)
    cells = [each.model_copy(update={"wrong": [OUTPUT]}) for each in votes(devices, ["aa", "aa", "aa"])]

    (found,) = judged(devices, cells)

    assert (found.kind, len(found.devices)) == (Kind.WRONG_NUMBERS, 3)


def test_wrong_numbers_of_an_odd_device_alone_are_not_held_against_the_kernel() -> None:
    devices = fleet(3)
    cells = votes(devices, ["aa", "bb", "aa"])
    cells = [each.model_copy(update={"wrong": [OUTPUT]}) if each.device == devices[1].id else each for each in cells]

    assert [each.kind for each in judged(devices, cells)] == [Kind.UNDECIDED]


@pytest.mark.parametrize(
    ("fault", "failing", "kind"),
    [
        (Fault.KERNEL, 1, Kind.DEVICE_SUSPECT),
        (Fault.KERNEL, 4, Kind.KERNEL_FAILS),
        (Fault.DEVICE, 1, Kind.FARM),
        (Fault.DEVICE, 3, Kind.KERNEL_FAILS),
        (Fault.NODE, 4, Kind.FARM),
    ],
)
def test_who_fails_alone_is_to_blame_and_what_fails_everywhere_is_the_kernels(
    fault: Fault, failing: int, kind: Kind
) -> None:
    devices = fleet(5)
    cells = [failed(each.id, fault) for each in devices[:failing]]
    cells += votes(devices[failing:], ["aa"] * (5 - failing))

    found = judged(devices, cells)

    assert {each.kind for each in found} == {kind}
    assert sorted(device for each in found for device in each.devices) == [each.id for each in devices[:failing]]


def test_the_order_of_the_cells_does_not_matter() -> None:
    devices = fleet(7)
    cells = [each for seed in range(3) for each in votes(devices, ["aa", "ab", "cc", "aa", "dd", "aa", "aa"], seed)]
    shuffled = random.Random(7).sample(cells, len(cells))

    assert judged(devices, shuffled) == judged(devices, cells)
