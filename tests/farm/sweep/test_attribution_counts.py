"""What the attribution counts: cards and not devices, trials that ran, the bits of steady devices; and what it says."""

from __future__ import annotations

from farm.gates.divergence import TWO_EXPLANATIONS
from farm.model.run import DeviceRecord
from farm.model.sweep import Cell, FindingPlace, Kind, SweepFinding
from jobs.records import Fault
from tests.farm.sweep_samples import CASE, OUTPUT, cell, failed, fleet, judged, votes

# Six odd trials of seven, where thirteen were made: chance explains that in fewer than 1 of 100 sweeps.
ODD_NEARLY_ALWAYS = "bbbabbb"


def kinds_of(findings: list[SweepFinding], device: DeviceRecord) -> list[Kind]:
    return [each.kind for each in findings if device.id in each.devices]


def printed(device: DeviceRecord, *prints: str, case: str = CASE, digest: str = "a") -> list[Cell]:
    return [cell(device.id, repeat, digest, case=case, fingerprint=each) for repeat, each in enumerate(prints)]


def test_odd_trials_are_counted_against_the_bits_of_the_steady_cards() -> None:
    devices = fleet(4)

    found = judged(devices, votes(devices, ["aa", "aa", "bb", ODD_NEARLY_ALWAYS]))

    assert kinds_of(found, devices[3]) == [Kind.DEVICE_SUSPECT]
    assert kinds_of(found, devices[2]) == [Kind.UNDECIDED]


def test_the_steady_bits_are_those_of_most_cards_and_not_of_most_dies() -> None:
    dies = fleet(7, per_node=7, dies=2)
    devices = [dies[0], dies[1], dies[2], dies[4], dies[6]]

    found = judged(dies, votes(devices, ["bb", "bb", "aa", "aa", ODD_NEARLY_ALWAYS]))

    assert kinds_of(found, dies[6]) == [Kind.DEVICE_SUSPECT]


def test_without_steady_bits_the_odd_trials_are_those_against_the_device_s_own_most_common_bits() -> None:
    devices = fleet(5)

    found = judged(devices, votes(devices, ["aa", "aa", "bb", "bb", "abbbbbb"]))

    assert kinds_of(found, devices[4]) == [Kind.UNDECIDED]
    assert "either the kernel races or this card is unsteady" in found[0].message


def test_a_trial_that_failed_is_none_that_could_have_been_odd() -> None:
    devices = fleet(4)
    cells = votes(devices, ["aa", "aa", "bb", ODD_NEARLY_ALWAYS])

    found = judged(devices, [*cells, failed(devices[3].id, Fault.NODE, repeat=9)])

    assert Kind.DEVICE_SUSPECT in kinds_of(found, devices[3])


def test_the_other_cards_of_a_lone_unsteady_one_are_those_that_measured() -> None:
    dies = fleet(8, per_node=8, dies=2)

    (found,) = judged(dies, votes(dies[:6], ["ab", "aa", "aa", "aa", "aa", "aa"]))

    assert found.message.endswith("and none of 2 other cards does so")


def test_one_repeat_more_is_a_second_look() -> None:
    devices = fleet(4)

    (found,) = judged(devices, votes(devices, ["aa", "bbb", "aa", "aa"]))

    assert found.confirmed


def test_a_card_is_odd_against_most_cards_and_not_most_dies() -> None:
    dies = fleet(8, per_node=8, dies=2)
    devices = [dies[0], dies[1], dies[2], dies[4]]

    found = judged(dies, votes(devices, ["bb", "bb", "aa", "aa"]))

    assert [(each.kind, each.devices) for each in found] == [
        (Kind.UNDECIDED, [dies[0].id]),
        (Kind.UNDECIDED, [dies[1].id]),
    ]
    assert {each.message for each in found} == {f"2 of 3 cards agree on other bits; {TWO_EXPLANATIONS}"}


def test_groups_without_a_majority_are_named_the_largest_first_and_cut() -> None:
    devices = fleet(10, per_node=10)

    few = judged(devices[:4], votes(devices[:4], ["aa", "bb", "bb", "cc"]))
    many = judged(devices, votes(devices, ["aa", *["bb"] * 5, *["cc"] * 4]))

    assert few[0].message == "no majority among 3 different results: node0/1 = node0/2; node0/0; node0/3"
    assert many[0].message == (
        "no majority among 3 different results: node0/1 = node0/2 = node0/3 = node0/4 and 1 more; "
        "node0/6 = node0/7 = node0/8 = node0/9; node0/0"
    )


def test_cards_that_share_odd_bits_are_named_with_their_chips() -> None:
    devices = fleet(8)
    devices[3] = devices[3].model_copy(update={"soc": "Ascend910B3"})

    (found,) = judged(devices, votes(devices, ["aa", "bb", "aa", "bb", "aa", "aa", "aa", "aa"]))

    assert found.message == ("2 devices (Ascend910B1, Ascend910B3) agree on bits that the majority does not have")


def test_nodes_whose_devices_are_all_wrong_alike_are_named() -> None:
    devices = fleet(10)

    (found,) = judged(devices, votes(devices, ["aa", "aa", "bb", "bb", "bb", "bb", "aa", "aa", "aa", "aa"]))

    assert (found.kind, found.message) == (
        Kind.FARM,
        "all devices of node1, node2 agree on bits nobody else has: look at what the node gives them",
    )


def test_wrong_numbers_name_the_output_and_come_before_open_questions() -> None:
    devices = fleet(4)
    cells = [each.model_copy(update={"wrong": [OUTPUT]}) for each in votes(devices, ["aa", "bb", "aa", "aa"])]

    found = judged(devices, [*cells, failed(devices[3].id, Fault.NODE, case="other")])

    assert [each.kind for each in found] == [Kind.WRONG_NUMBERS, Kind.UNDECIDED, Kind.FARM]
    assert found[0].places == [FindingPlace(case=CASE, output=OUTPUT)]
    assert found[0].devices == [devices[0].id, devices[2].id]


def test_findings_of_one_kind_are_in_the_order_of_their_devices() -> None:
    devices = fleet(6)
    late = votes(devices, ["aa", "aa", "aa", "aa", "bb", "aa"], seed=0)
    early = votes(devices, ["aa", "bb", "aa", "aa", "aa", "aa"], seed=1)

    assert [each.devices for each in judged(devices, [*late, *early])] == [[devices[1].id], [devices[4].id]]


def test_a_device_with_two_programs_has_no_vote_on_which_is_right() -> None:
    devices = fleet(3)
    cells = [*printed(devices[0], "f", "f"), *printed(devices[1], "e", "e"), *printed(devices[2], "f", "e")]

    (found,) = judged(devices, cells)

    assert (found.kind, found.devices) == (Kind.FARM, [each.id for each in devices])
    assert found.message == "the same request was compiled to 2 different programs; their bits were not compared"


def test_the_right_program_is_that_of_most_cards_and_not_of_most_dies() -> None:
    dies = fleet(6, per_node=6, dies=2)
    cells = [cell_ for number, of in ((0, "e"), (1, "e"), (2, "f"), (4, "f")) for cell_ in printed(dies[number], of)]

    (found,) = judged(dies, cells)

    assert found.devices == [dies[0].id, dies[1].id]


def test_another_program_in_each_of_two_cases_is_left_out_in_both() -> None:
    devices = fleet(4)
    cells = []
    for case, stranger in (("a", 1), ("b", 2)):
        for number, device in enumerate(devices):
            odd = number == stranger
            cells += printed(device, "e" if odd else "f", case=case, digest="b" if odd else "a")

    found = judged(devices, cells)

    assert [(each.kind, each.devices) for each in found] == [
        (Kind.FARM, [devices[1].id]),
        (Kind.FARM, [devices[2].id]),
    ]


def test_the_cards_that_agree_are_counted_and_not_their_dies() -> None:
    dies = fleet(8, per_node=8, dies=2)

    (found,) = judged(dies, votes(dies[:7], [*["aa"] * 6, "bb"]))

    assert found.message == f"3 of 4 cards agree on other bits; {TWO_EXPLANATIONS}"


def wrong_on(cells: list[Cell], *devices: DeviceRecord) -> list[Cell]:
    names = {each.id for each in devices}
    return [each.model_copy(update={"wrong": [OUTPUT] if each.device in names else []}) for each in cells]


def test_wrong_numbers_of_a_kernel_that_depends_on_the_device_count() -> None:
    devices = fleet(4)

    found = judged(devices, wrong_on(votes(devices, ["aa", "aa", "bb", "bb"]), *devices[2:]))

    assert [each.kind for each in found] == [Kind.DEPENDS_ON_DEVICE, Kind.WRONG_NUMBERS]


def test_wrong_numbers_of_a_device_that_nothing_speaks_against_count_beside_an_odd_one() -> None:
    devices = fleet(4)

    found = judged(devices, wrong_on(votes(devices, ["aa", "bb", "aa", "aa"]), devices[0]))

    assert [(each.kind, each.devices) for each in found] == [
        (Kind.WRONG_NUMBERS, [devices[0].id]),
        (Kind.UNDECIDED, [devices[1].id]),
    ]


def test_wrong_numbers_with_several_seeds_name_the_devices_of_all_of_them() -> None:
    devices = fleet(3)
    cells = [*votes(devices[:2], ["aa", "aa"], seed=0), *votes(devices[2:], ["bb"], seed=1)]

    (found,) = judged(devices, wrong_on(cells, *devices))

    assert (found.kind, found.devices) == (Kind.WRONG_NUMBERS, [each.id for each in devices])
