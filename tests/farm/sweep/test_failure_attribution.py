"""Whose fault a trial that did not run to the end is: counted in cards, and case by case."""

from __future__ import annotations

import pytest

from farm.analysis.sweep_matrix import Fleet
from farm.model.run import DeviceRecord
from farm.model.sweep import Cell, FindingPlace, Kind
from farm.sweep.failure_attribution import doomed_cases, failed_trials
from jobs.records import Fault
from tests.farm.sweep_samples import CASE, cell, failed, fleet

DIES = fleet(5, per_node=5, dies=2)  # cards: 0 and 1, 2 and 3, 4 alone
CARDS = fleet(5)


def kinds(devices: list[DeviceRecord], failing: dict[int, Fault], ran: list[int]) -> set[Kind]:
    cells = [failed(devices[number].id, fault) for number, fault in failing.items()]
    cells += [cell(devices[number].id) for number in ran]
    return {each.kind for each in failed_trials(cells, Fleet.of(devices))}


def test_two_dies_of_one_card_that_ran_do_not_outvote_two_cards_that_failed() -> None:
    assert kinds(DIES, {2: Fault.KERNEL, 4: Fault.KERNEL}, ran=[0, 1]) == {Kind.KERNEL_FAILS}


def test_two_dies_of_one_card_that_failed_are_outvoted_by_two_cards_that_ran() -> None:
    assert kinds(DIES, {2: Fault.KERNEL, 3: Fault.KERNEL}, ran=[0, 1, 4]) == {Kind.DEVICE_SUSPECT}


def test_a_device_s_fault_on_both_dies_of_one_card_is_not_the_kernels() -> None:
    assert kinds(DIES, {0: Fault.DEVICE, 1: Fault.DEVICE}, ran=[]) == {Kind.FARM}
    assert kinds(CARDS, {0: Fault.DEVICE}, ran=[]) == {Kind.FARM}


def test_a_device_s_fault_on_two_cards_and_nowhere_else_a_good_trial_is_the_kernels() -> None:
    assert kinds(CARDS, {0: Fault.DEVICE, 2: Fault.DEVICE}, ran=[]) == {Kind.KERNEL_FAILS}


def test_a_device_s_fault_on_two_cards_is_theirs_where_most_cards_ran() -> None:
    assert kinds(CARDS, {0: Fault.DEVICE, 2: Fault.DEVICE}, ran=[1, 3, 4]) == {Kind.FARM}


def test_a_failure_names_its_case_and_the_seed_it_first_showed_with() -> None:
    name = CARDS[0].id
    cells = [failed(name, Fault.KERNEL, seed=7), failed(name, Fault.KERNEL, "other", seed=8)]

    (found,) = failed_trials(cells, Fleet.of(CARDS))

    assert (found.place, found.why) == (FindingPlace(case=CASE, seed=7), f"hang: hang on {name}")


@pytest.mark.parametrize(
    ("devices", "cells", "doomed"),
    [
        (CARDS, [failed(CARDS[0].id, Fault.KERNEL), failed(CARDS[1].id, Fault.KERNEL)], {CASE}),
        (CARDS, [failed(CARDS[0].id, Fault.KERNEL)], set()),
        (CARDS, [failed(CARDS[0].id, Fault.DEVICE), failed(CARDS[1].id, Fault.DEVICE)], set()),
        (DIES, [failed(DIES[0].id, Fault.KERNEL), failed(DIES[1].id, Fault.KERNEL)], set()),
        (
            CARDS,
            [failed(CARDS[0].id, Fault.KERNEL), failed(CARDS[1].id, Fault.KERNEL), cell(CARDS[2].id)],
            set(),
        ),
        (
            CARDS,
            [
                failed(CARDS[0].id, Fault.KERNEL),
                failed(CARDS[1].id, Fault.KERNEL),
                cell(CARDS[2].id, case="another"),
                failed(CARDS[2].id, Fault.KERNEL, case="lone"),
            ],
            {CASE},
        ),
    ],
    ids=["two cards", "one card", "a device's fault", "two dies of one card", "it ran on a third", "another case ran"],
)
def test_a_case_is_given_up_where_two_cards_fail_by_the_kernels_fault_and_none_ran_it(
    devices: list[DeviceRecord], cells: list[Cell], doomed: set[str]
) -> None:
    assert doomed_cases(cells, Fleet.of(devices)) == doomed
