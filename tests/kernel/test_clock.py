"""Times of different kinds never meet, and the host's CPU time has no clock that a gate could ask for."""

from __future__ import annotations

import math
from typing import Any

import pytest

from kernel.clock import Clock, HostUs, MeasuredUs, SimulatedUs, WallTime, wall_time
from kernel.errors import NotATimeError
from kernel.platforms.protocol import ModeTime


@pytest.mark.parametrize("other", [SimulatedUs(1.0), MeasuredUs(1.0)])
def test_host_time_compares_with_no_other(other: WallTime) -> None:
    with pytest.raises(TypeError, match="different yardsticks"):
        _ = HostUs(2.0) - other
    with pytest.raises(TypeError, match="different yardsticks"):
        _ = other < HostUs(2.0)


def test_times_of_one_kind_have_an_order_and_a_difference() -> None:
    short, long = SimulatedUs(1.5), SimulatedUs(4.0)

    assert [short < long, long < short, short < SimulatedUs(1.5)] == [True, False, False]
    assert [short <= long, long <= short, short <= SimulatedUs(1.5)] == [True, False, True]
    assert (long - short, short - long) == (2.5, -2.5)
    assert short.clock is Clock.SIMULATED


def test_two_kinds_are_named_in_the_order_they_met() -> None:
    with pytest.raises(TypeError, match=r"^SimulatedUs and MeasuredUs are different yardsticks$"):
        _ = SimulatedUs(1.0) <= MeasuredUs(2.0)
    with pytest.raises(TypeError, match=r"^MeasuredUs and float are different yardsticks$"):
        _ = MeasuredUs(1.0) < 2.0
    with pytest.raises(TypeError, match="either SimulatedUs or MeasuredUs"):
        _ = WallTime(1.0).clock


def test_host_time_has_no_clock() -> None:
    with pytest.raises(TypeError, match="never gated"):
        _ = HostUs(2.0).clock


NOT_TIMES = [math.nan, math.inf, -math.inf, 0.0, -0.0, -5.0, True, "5", None, 10**400]


@pytest.mark.parametrize("us", NOT_TIMES)
@pytest.mark.parametrize("clock", [SimulatedUs, MeasuredUs, HostUs])
def test_what_is_not_a_time_is_refused(us: Any, clock: type[WallTime]) -> None:
    with pytest.raises(NotATimeError, match="is no time"):
        clock(us)


@pytest.mark.parametrize("clock", Clock)
def test_a_time_knows_its_clock(clock: Clock) -> None:
    time = wall_time(5e-3, clock)

    assert (time.us, time.clock) == (5e-3, clock)


@pytest.mark.parametrize(
    ("rounds", "least", "middle", "mean", "most"),
    [
        (0, 1.0, 2.0, 2.0, 3.0),
        (-1, 1.0, 2.0, 2.0, 3.0),
        (5, 1.0, 4.0, 2.0, 3.0),
        (5, 1.0, 0.5, 2.0, 3.0),
        (5, 1.0, 2.0, 3.1, 3.0),
        (5, 1.0, 2.0, 0.9, 3.0),
        (5, 0.0, 2.0, 2.0, 3.0),
        (5, 1.0, 2.0, 2.0, math.inf),
        (5, 1.0, math.nan, 2.0, 3.0),
    ],
)
def test_times_of_a_mode_belong_together(rounds: int, least: float, middle: float, mean: float, most: float) -> None:
    assert ModeTime(rounds, least, middle, mean, most).problem


def test_one_round_has_one_time() -> None:
    assert not ModeTime(1, 0.1, 0.1, 0.1 + 1e-16, 0.1).problem
