"""Which tests a device is given, and what several attempts prove together."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from farm.testing.foreign.attempt import Attempt, AttemptEnding, Phase, Place
from farm.testing.foreign.board import Board
from tests.farm.testing.foreign.small_profile import small

FIRST, SIBLING, SECOND, THIRD = (
    Place("n/4", 4, "2"),
    Place("n/5", 5, "2"),
    Place("n/6", 6, "3"),
    Place("n/8", 8, "4"),
)
STALLS = "RuntimeError: sync_stream_pair: aicpu failed: 507018"
BROKEN = "RuntimeError: rtSetDevice failed with code 507033"


@pytest.fixture
def board(tmp_path: Path) -> Board:
    made = Board(small(), 60.0, tmp_path)
    made.collect(["a", "b"], [], 0)
    return made


def attempt(place: Place, message: str = "") -> Attempt:
    call = Phase("call", "failed" if message else "passed", 0.5, message, message)
    return Attempt(place, [call, Phase("teardown", "passed")])


def endings(board: Board) -> list[AttemptEnding]:
    return [each.ending for each in board.results()]


def claim(board: Board, name: str, worker: str) -> None:
    (board.claims / hashlib.sha256(name.encode()).hexdigest()).write_text(json.dumps([worker, name]))


def test_a_faulted_test_goes_to_another_card_and_not_to_its_sibling(board: Board) -> None:
    board.add("a", attempt(FIRST, STALLS))

    assert board.free_for(SIBLING) == ["b"]
    assert board.free_for(SECOND) == ["a", "b"]


def test_a_test_that_passes_elsewhere_has_passed_and_says_where_it_was_before(board: Board) -> None:
    board.add("a", attempt(FIRST, STALLS))
    board.add("a", attempt(SECOND))

    result = board.results()[0]
    assert (result.ending, result.device) == (AttemptEnding.PASSED, "n/6")
    assert result.before[0].startswith("n/4: device-507018: ")


def test_the_same_on_two_cards_is_the_tests_own(board: Board) -> None:
    board.add("a", attempt(FIRST, STALLS))
    board.add("a", attempt(SECOND, STALLS))

    result = board.results()[0]
    assert result.ending is AttemptEnding.FAILED
    assert result.message.startswith("device-507018 on 2 devices (n/4, n/6): ")
    assert board.free_for(THIRD) == ["b"]


def test_a_machines_fault_is_never_the_tests_on_however_many_cards(board: Board) -> None:
    for place in (FIRST, SECOND, THIRD):
        board.add("a", attempt(place, "ModuleNotFoundError: No module named 'torch_npu'"))

    assert endings(board)[0] is AttemptEnding.FAULT
    assert board.free_for(Place("n/10", 10, "5")) == ["b"]


def test_a_device_that_is_broken_for_sure_gets_no_further_test(board: Board) -> None:
    board.add("a", attempt(FIRST, BROKEN))

    assert board.free_for(SIBLING) == []


def test_a_test_that_was_collected_and_not_run_is_no_pass(board: Board) -> None:
    board.add("a", attempt(FIRST))
    board.collect(["a", "b"], ["c"], 0)

    assert endings(board) == [AttemptEnding.PASSED, AttemptEnding.FAULT, AttemptEnding.FAULT]
    assert "collected and not run" in board.results()[1].message


def test_what_a_worker_took_and_did_not_run_is_open_again_when_it_has_ended(board: Board) -> None:
    claim(board, "a", "one")
    claim(board, "b", "two")
    assert board.free_for(FIRST) == []

    board.give_back("one")

    assert board.free_for(FIRST) == ["a"]


def test_two_workers_that_collect_different_tests_are_noticed(board: Board) -> None:
    board.collect(["a", "b", "c[0x7f]"], [], 0)

    assert board.differing == "c[0x7f]"
