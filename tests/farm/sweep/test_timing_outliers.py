"""Which cells a sweep takes a time from, and where the limits of an odd time lie."""

from __future__ import annotations

import pytest

from farm.model.sweep import Cell, FindingPlace
from farm.stats.thresholds import MIN_SHARE, RESOLUTION_US
from farm.sweep.timing_outliers import contradictory_times, medians, odd_times
from jobs.records import Failure, Fault
from tests.farm.sweep_samples import CASE, cell

FAILED = Failure(fault=Fault.KERNEL, kind="hang", message="it hangs")
NO_TIMES = [
    cell("d0", 1, wall_us=90.0, failure=FAILED),
    cell("d0", -1, wall_us=90.0),
    cell("d0", -2, wall_us=90.0, failure=FAILED),
    cell("d0", 2, wall_us=None),
    cell("d0", 3, wall_us=None, failure=FAILED),
    cell("d0", -3, wall_us=None),
]


def odd(us: list[float], *, noisy: bool) -> list[str]:
    found = odd_times({CASE: {f"d{number}": each for number, each in enumerate(us)}}, noisy)
    return [device for each in found for device in each.devices]


def test_a_median_is_of_trials_that_ran_and_of_no_first_launch() -> None:
    cells = [cell("d0", 0, wall_us=40.0), *NO_TIMES, cell("d0", 4, wall_us=44.0), cell("d1", 0, wall_us=41.0)]

    assert medians(cells) == {CASE: {"d0": 42.0, "d1": 41.0}}


@pytest.mark.parametrize("other", NO_TIMES)
def test_what_is_no_measured_time_contradicts_none(other: Cell) -> None:
    assert contradictory_times([cell("d0"), cell("d1"), other], {}, ()) == []


def test_without_a_fingerprint_a_case_is_held_to_one_time() -> None:
    cells = [cell("d0", fingerprint=""), cell("d1", fingerprint="", wall_us=20.0)]

    (found,) = contradictory_times(cells, {}, ())

    assert f"the program of {CASE} took" in found.message
    assert (found.devices, found.places) == (["d0", "d1"], [FindingPlace(case=CASE)])


def test_an_odd_time_names_every_case_it_shows_in() -> None:
    times = {"d0": 40.0, "d1": 40.0, "d2": 50.0}

    (found,) = odd_times({"a": times, "b": times}, noisy=False)

    assert (found.devices, found.places) == (["d2"], [FindingPlace(case="a"), FindingPlace(case="b")])


@pytest.mark.parametrize("us", [40.0 - RESOLUTION_US, 40.0 + RESOLUTION_US])
def test_a_difference_of_just_the_resolution_is_none(us: float) -> None:
    assert odd([40.0, 40.0, us], noisy=False) == []


def test_a_slow_device_is_named_beside_three_others_and_only_beyond_the_smallest_share() -> None:
    assert odd([500.0, 500.0, 500.0, 600.0], noisy=True) == ["d3"]
    assert odd([500.0, 500.0, 500.0, 500.0 + MIN_SHARE * 500.0], noisy=True) == []
