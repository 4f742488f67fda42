"""The k-ary search: it always finds the change, in as few rounds as can be, and passes over what cannot be judged."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.bisect.search import BisectSearch, contradictions, rounds_needed
from farm.model.bisect import Answer

Test = Callable[[int], Answer]


def turning_at(culprit: int, broken: Collection[int] = ()) -> Test:
    """What a test says in a line of commits that is bad from `culprit` on and does not build at `broken`."""

    def test(position: int) -> Answer:
        if position in broken:
            return Answer.SKIPPED
        return Answer.BAD if position >= culprit else Answer.GOOD

    return test


def search(bad: int, devices: int, test: Test) -> tuple[BisectSearch, int, list[int]]:
    """The end of a search over positions 0 to `bad`, its rounds, and every position it tested."""
    state, rounds, tested = BisectSearch(0, bad), 0, list[int]()
    while asked := state.probes(devices):
        state, rounds = state.after({position: test(position) for position in asked}), rounds + 1
        tested += asked
    return state, rounds, tested


@pytest.mark.parametrize("culprit", range(1, 65))
def test_three_devices_find_any_of_64_commits_in_three_rounds(culprit: int) -> None:
    found, rounds, _ = search(64, 3, turning_at(culprit))

    assert found.suspects == [culprit]
    assert rounds <= 3


@st.composite
def lines(draw: st.DrawFn) -> tuple[int, int, int]:
    bad = draw(st.integers(1, 300))
    return bad, draw(st.integers(1, bad)), draw(st.integers(1, 12))


@given(lines())
def test_the_change_is_found_within_the_rounds_that_are_needed(line: tuple[int, int, int]) -> None:
    bad, culprit, devices = line

    found, rounds, tested = search(bad, devices, turning_at(culprit))

    assert found.suspects == [culprit]
    assert rounds <= rounds_needed(bad - 1, devices)
    assert len(set(tested)) == len(tested)


@given(lines(), st.data())
def test_broken_commits_hide_the_change_only_where_they_stand_before_it(
    line: tuple[int, int, int], data: st.DataObject
) -> None:
    bad, culprit, devices = line
    broken = data.draw(st.sets(st.integers(1, bad - 1))) if bad > 1 else set[int]()

    found, rounds, tested = search(bad, devices, turning_at(culprit, broken))

    assert culprit in found.suspects
    assert set(found.suspects[:-1]) <= broken  # nothing that could be tested is left in doubt
    assert found.suspects[-1] == min(at for at in range(culprit, bad + 1) if at not in broken or at == bad)
    skips = len([at for at in tested if at in broken])
    assert rounds <= rounds_needed(bad - 1, devices) + skips
    assert len(set(tested)) == len(tested)


@given(st.integers(2, 300), st.integers(1, 12))
def test_a_round_never_asks_for_more_than_there_are_devices(bad: int, devices: int) -> None:
    asked = BisectSearch(0, bad).probes(devices)

    assert asked == sorted(set(asked))
    assert len(asked) == min(devices, bad - 1)
    assert all(0 < position < bad for position in asked)


def test_neighbours_need_no_test() -> None:
    assert BisectSearch(3, 4).probes(5) == []
    assert BisectSearch(3, 4).suspects == [4]


def test_of_two_changes_the_older_one_is_followed_and_the_contradiction_is_seen() -> None:
    answers = {16: Answer.BAD, 32: Answer.GOOD, 48: Answer.BAD}

    left = BisectSearch(0, 64).after(answers)

    assert (left.good, left.bad) == (0, 16)
    assert contradictions(answers) == [32]
    assert contradictions({16: Answer.GOOD, 32: Answer.SKIPPED, 48: Answer.BAD}) == []


def test_a_range_without_anything_in_it_is_refused() -> None:
    with pytest.raises(ValueError, match="does not come before"):
        BisectSearch(4, 4)


@pytest.mark.parametrize(
    ("commits", "devices", "rounds"), [(0, 3, 0), (1, 3, 1), (3, 3, 1), (4, 3, 2), (63, 3, 3), (64, 3, 4), (63, 1, 6)]
)
def test_rounds_needed(commits: int, devices: int, rounds: int) -> None:
    assert rounds_needed(commits, devices) == rounds
