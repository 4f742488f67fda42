"""Where one odd card and a kernel that depends on the device look alike, a sweep asks another card, or says both."""

from __future__ import annotations

from pathlib import Path

from farm.gates.divergence import TWO_EXPLANATIONS
from farm.model.run import DeviceRecord
from farm.model.sweep import Kind
from farm.sweep.journal import Journal
from farm.sweep.schedule import SweepCell
from farm.sweep.state import State
from farm.sweep.verdict import not_reached
from tests.farm.sweep_samples import CASE, cell, fleet, plan, votes

DEVICES = fleet(7, per_node=7)
NAMES = [each.id for each in DEVICES]
FIRST_LOOK = [SweepCell(CASE, 0, 0), SweepCell(CASE, 0, 1)]


def swept(directory: Path, rows: list[str], devices: list[DeviceRecord] = DEVICES) -> State:
    """A sweep over as many devices as there are rows, with those results."""
    planned = devices[: len(rows)]
    made = Journal(directory)
    made.begin(plan(planned))
    state = State.load(plan(planned), made, deadline=0.0)
    state.hold(planned)
    state.take(votes(planned, rows))
    state.keep()
    return state


def ask(state: State, device: DeviceRecord, row: str) -> None:
    """Have `device` look, as it is due, and give it what it found."""
    assert state.ask_another([device.id])
    assert state.due() == {device.id: FIRST_LOOK}
    state.hold([device])
    state.take(cell(device.id, repeat, letter) for repeat, letter in enumerate(row))
    state.keep()


def told(state: State) -> list[tuple[Kind, list[str]]]:
    return [(each.kind, each.devices) for each in state.findings()]


def test_another_card_with_the_odd_bits_finds_out_a_kernel_that_depends_on_the_device(tmp_path: Path) -> None:
    state = swept(tmp_path / "s1", ["aa", "bbbb", "aaaa"])

    ask(state, DEVICES[3], "bb")

    assert told(state) == [(Kind.DEPENDS_ON_DEVICE, [])]
    assert not state.ask_another(NAMES[4:])
    assert state.due() == {}


def test_two_other_cards_with_the_usual_bits_leave_both_explanations(tmp_path: Path) -> None:
    state = swept(tmp_path / "s1", ["aa", "bbbb", "aaaa"])

    ask(state, DEVICES[3], "aa")
    ask(state, DEVICES[4], "aa")

    (found,) = state.findings()
    assert (found.kind, found.devices) == (Kind.UNDECIDED, [NAMES[1]])
    assert found.message == f"4 of 5 cards agree on other bits; {TWO_EXPLANATIONS}"
    assert not state.ask_another(NAMES[5:]), "two cards are enough"


def test_of_two_cards_that_disagree_a_third_tells_which_is_odd_and_that_one_looks_again(tmp_path: Path) -> None:
    state = swept(tmp_path / "s1", ["aa", "bb"])

    ask(state, DEVICES[2], "bb")

    assert told(state) == [(Kind.UNDECIDED, [NAMES[0]])]
    assert NAMES[0] in state.due()
    assert not state.ask_another(NAMES[3:]), "before the second look"


def test_no_card_is_asked_before_a_second_look_nor_about_a_race_nor_where_there_is_none(tmp_path: Path) -> None:
    assert not swept(tmp_path / "s1", ["aa", "bb", "aa"]).ask_another(NAMES[3:])
    assert not swept(tmp_path / "s2", ["aa", "abaa", "aaaa"]).ask_another(NAMES[3:])
    assert not swept(tmp_path / "s3", ["aa", "aa", "aa"]).ask_another(NAMES[3:])
    assert not swept(tmp_path / "s4", ["aa", "bbbb", "aaaa"]).ask_another([])


def test_a_device_that_is_gone_is_not_asked_and_one_that_others_hold_counts_for_nothing(tmp_path: Path) -> None:
    state = swept(tmp_path / "s1", ["aa", "bbbb", "aaaa"])
    state.leave(NAMES[3], "its node is gone")

    assert not state.ask_another([NAMES[3]])
    assert state.ask_another(NAMES[3:5])
    state.leave(NAMES[4], "others hold it")

    assert state.due() == {}
    ask(state, DEVICES[5], "aa")
    ask(state, DEVICES[6], "aa")


def test_two_dies_of_one_other_card_count_as_one(tmp_path: Path) -> None:
    dies = fleet(10, per_node=10, dies=2)
    state = swept(tmp_path / "s1", ["aa", "bbbb", "aaaa"], [dies[0], dies[2], dies[4]])

    for other in dies[6:9]:
        ask(state, other, "aa")

    assert not state.ask_another([dies[9].id])


def test_an_odd_device_that_fails_its_canary_is_at_fault_and_no_other_is_asked(tmp_path: Path) -> None:
    state = swept(tmp_path / "s1", ["aa", "bbbb", "aaaa"])

    state.leave(NAMES[1], "its canary failed", unfit=True)

    assert told(state) == [(Kind.DEVICE_SUSPECT, [NAMES[1]])]
    assert not state.ask_another(NAMES[3:])


def test_a_resumed_sweep_knows_whom_it_asked_and_misses_nothing_of_them(tmp_path: Path) -> None:
    state = swept(tmp_path / "s1", ["aa", "bbbb", "aaaa"])
    ask(state, DEVICES[3], "a")

    resumed = State.load(state.plan, Journal(tmp_path / "s1"), deadline=0.0)

    assert resumed.due() == {NAMES[3]: FIRST_LOOK[1:]}
    planned = dict.fromkeys(resumed.plan.devices, "the budget ended")
    assert not_reached(resumed.plan.request, resumed.cells, planned) == []
