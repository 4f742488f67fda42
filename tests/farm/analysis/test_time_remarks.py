"""What reports say of times: outliers are named, and nothing is left out."""

from __future__ import annotations

from farm.analysis.time_remarks import odd_trials, remarks
from jobs.records import ModeTimeRecord, TrialRecord
from kernel.clock import Clock
from tests.farm import evidence


def timed(device: str, *times_us: float, clock: Clock = Clock.MEASURED) -> list[TrialRecord]:
    return [evidence.trial(device, repeat, wall_us=us, clock=clock) for repeat, us in enumerate(times_us)]


def test_an_outlier_is_named_with_its_device_and_repeat() -> None:
    trials = [*timed("n/0", 100, 101, 99), *timed("n/1", 100, 812, 101)]

    assert remarks(trials) == ["1 of 6 times is an outlier: 812.00 µs on n/1, repeat 1"]


def test_a_device_that_is_slow_as_a_whole_has_no_outlier() -> None:
    assert odd_trials([*timed("n/0", 100, 101, 99), *timed("n/1", 200, 202, 198)]) == []


def test_where_a_device_has_few_times_they_are_compared_with_all() -> None:
    trials = [*timed("n/0", 100, 101, 99, 100), *timed("n/1", 812)]

    assert odd_trials(trials) == ["1 of 5 times is an outlier: 812.00 µs on n/1, repeat 0"]


def test_a_warm_up_counts_as_no_time_and_an_exact_clock_has_no_outliers() -> None:
    warm_up = evidence.trial("n/0", -1, wall_us=812.0, clock=Clock.MEASURED)

    assert odd_trials([warm_up, *timed("n/0", 100, 101, 99, 100, 100)]) == []
    assert odd_trials(timed("n/0", 100, 101, 99, 100, 812, clock=Clock.SIMULATED)) == []


def test_outliers_among_the_rounds_of_a_trial_are_named() -> None:
    rounds = ModeTimeRecord(
        rounds=100, min_us=9, median_us=10, mean_us=11, max_us=90, outliers=2, outliers_us=[90.0, 80.0]
    )
    trials = [each.model_copy(update={"times_us": {"1": rounds}}) for each in timed("n/0", 10, 10)]

    assert remarks(trials) == [
        "2 of 100 rounds are outliers (90.00, 80.00 µs on n/0, repeat 0); likewise in 1 further trial"
    ]
