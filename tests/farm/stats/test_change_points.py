"""Where a history changed, and how rarely it is said of one that did not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from farm.stats.bootstrap import seed_of
from farm.stats.change_points import ORDERS, change_points
from farm.stats.thresholds import RESOLUTION_US
from kernel.clock import Clock

Noise = Callable[[np.random.Generator, int], NDArray[np.float64]]

NOISES: dict[str, Noise] = {
    "normal": lambda generator, count: generator.normal(0, 0.02, count),
    "heavy tails": lambda generator, count: 0.01 * generator.standard_t(2, count),
    "skewed": lambda generator, count: 0.02 * generator.exponential(1, count),
}


def history(noise: Noise, *levels: tuple[float, int], seed: int = 3) -> list[float]:
    """Medians in µs: `count` of each level, with noise."""
    around = np.concatenate([np.full(count, us) for us, count in levels])
    return [float(us) for us in around * np.exp(noise(np.random.default_rng(seed), len(around)))]


def found(us: list[float], clock: Clock = Clock.MEASURED) -> list[int]:
    return [point.index for point in change_points(us, clock)]


def test_every_step_of_a_stair_is_found() -> None:
    us = history(NOISES["normal"], (600.0, 40), (560.0, 40), (620.0, 40))

    assert found(us) == pytest.approx([40, 80], abs=2)


def test_every_change_is_searched_on_until_none_is_left() -> None:
    short_end = history(NOISES["normal"], (540.0, 12), (600.0, 12), (900.0, 5))
    both_sides = history(NOISES["normal"], (500.0, 15), (560.0, 15), (900.0, 15), (1000.0, 15))

    assert found(short_end) == [12, 24]
    assert found(both_sides) == [15, 30, 45]


def test_eight_runs_can_show_a_change() -> None:
    assert found([501.0, 500.0, 502.0, 700.0, 704.0, 702.0, 591.6, 592.0]) == [3]


def test_a_stretch_that_came_and_went_is_found() -> None:
    us = history(NOISES["normal"], (540.0, 50), (594.0, 15), (540.0, 50))

    assert found(us) == pytest.approx([50, 65], abs=2)


def test_one_odd_run_is_no_change() -> None:
    us = history(NOISES["normal"], (540.0, 100))
    us[50] *= 3

    assert found(us) == []


def test_a_new_level_is_seen_after_five_runs_of_it() -> None:
    assert found(history(NOISES["normal"], (540.0, 40), (594.0, 5))) == [40]
    assert found(history(NOISES["normal"], (540.0, 6), (648.0, 5))) == [6]


def test_the_sizes_are_between_the_levels_around_a_change() -> None:
    first, second = change_points([100.0, 100.0, 90.0, 90.0, 90.0, 99.0], Clock.SIMULATED)

    assert (first.index, first.before_us, first.after_us) == (2, 100.0, 90.0)
    assert first.change == pytest.approx(-0.1)
    assert (second.index, second.before_us, second.after_us) == (5, 90.0, 99.0)


def test_one_run_at_the_start_is_a_level_on_an_exact_clock() -> None:
    (point,) = change_points([100.0, 90.0, 90.0], Clock.SIMULATED)

    assert (point.index, point.before_us, point.after_us) == (1, 100.0, 90.0)


def test_on_an_exact_clock_every_difference_above_the_resolution_is_a_change() -> None:
    assert found([131.0, 131.0, 131.01, 131.01, 131.0], Clock.SIMULATED) == [2, 4]
    assert found([131.0, 131.004, 131.0], Clock.SIMULATED) == []


def test_a_creep_on_an_exact_clock_is_no_row_of_changes_and_yet_adds_up() -> None:
    creep = [100.0 + 0.004 * run for run in range(101)]

    assert found(creep[:25], Clock.SIMULATED) == []
    assert found(creep, Clock.SIMULATED) == [26, 52, 78]
    assert found(creep[::-1], Clock.SIMULATED) == [26, 52, 78]


def test_a_step_in_a_creep_is_found_where_it_is() -> None:
    assert found([100.0, 100.004, 100.008, 100.5, 100.504], Clock.SIMULATED) == [3]


def test_a_difference_of_just_the_resolution_is_no_change_and_no_creep() -> None:
    assert RESOLUTION_US == 2 * RESOLUTION_US - RESOLUTION_US, "exactly, so that it is the limit that is tried"
    assert found([RESOLUTION_US, 2 * RESOLUTION_US, 2 * RESOLUTION_US], Clock.SIMULATED) == []


def divergence(values: NDArray[np.float64], left: int, end: int) -> float:
    """Q as the paper has it, of what stands before `left` and what follows to `end`."""
    before, after = values[:left], values[left:end]

    def mean_within(part: NDArray[np.float64]) -> float:
        return float(np.mean([abs(a - b) for a, b in combinations(part, 2)]))

    across = float(np.mean(np.abs(np.subtract.outer(before, after))))
    weight = len(before) * len(after) / (len(before) + len(after))
    return weight * (2 * across - mean_within(before) - mean_within(after))


def best_split(values: NDArray[np.float64]) -> tuple[float, int]:
    """The largest Q of all neighbours of three values or more, and how many values stand before that split."""
    count = len(values)
    splits = [(left, end) for left in range(3, count - 2) for end in range(left + 3, count + 1)]
    return max((divergence(values, left, end), left) for left, end in splits)


@pytest.mark.parametrize("seed", range(12))
def test_the_first_change_lies_where_the_divergence_is_largest(seed: int) -> None:
    draw = np.random.default_rng(seed)
    first, rest = int(draw.integers(4, 8)), int(draw.integers(7, 9))
    us = history(NOISES["normal"], (540.0, first), (620.0, rest), (560.0, seed % 3 * 2), seed=seed)

    assert best_split(np.log(us))[1] in found(us)


# Each has a split that is the best one only by the whole of Q: without one of its factors another split is.
@pytest.mark.parametrize(
    ("us", "start"),
    [
        ([525.2, 539.8, 524.5, 532.8, 539.8, 576.2, 636.9, 628.8, 615.4, 637.7, 617.3, 621.5], 6),
        ([529.1, 529.9, 501.1, 529.5, 565.3, 529.8, 340.0, 336.6, 345.9, 339.6, 333.4, 343.2, 924.8, 1307.9, 700.0], 6),
        ([542.3, 475.7, 513.9, 491.2, 522.7, 493.2, 424.7, 322.9, 322.9, 469.2, 410.7, 407.0, 455.6, 437.2, 404.6], 6),
        ([528.6, 541.2, 544.7, 554.5, 554.5, 521.6, 612.9, 643.8, 622.1], 6),  # three values are enough behind it
    ],
)
def test_the_only_change_lies_at_the_best_split(us: list[float], start: int) -> None:
    assert best_split(np.log(us))[1] == start
    assert found(us) == [start]


@pytest.mark.parametrize(("seed", "as_good", "starts"), [(0, 4, [5]), (9, 5, [])])
def test_a_change_is_one_where_at_most_one_in_a_hundred_orders_splits_as_well(
    seed: int, as_good: int, starts: list[int]
) -> None:
    draw = np.random.default_rng(seed)
    us = [float(round(each, 2)) for level in (100, 106) for each in level + draw.normal(0, 1, 5)]
    values = np.log(us)
    orders = np.random.default_rng(seed_of(values))
    largest = best_split(values)[0] - 1e-12

    assert sum(best_split(values[orders.permutation(10)])[0] >= largest for _ in range(ORDERS)) == as_good
    assert found(us) == starts


@pytest.mark.parametrize("clock", Clock)
@pytest.mark.parametrize("us", [float("nan"), float("inf"), 0.0, -5.0])
def test_what_is_not_a_time_has_no_place_in_a_history(us: float, clock: Clock) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        change_points([100.0] * 8 + [us], clock)


@pytest.mark.parametrize("clock", Clock)
@pytest.mark.parametrize("us", [[], [5.0], [5.0] * 5, [5.0] * 60])
def test_nothing_changes_in_a_history_that_is_short_or_still(us: list[float], clock: Clock) -> None:
    assert change_points(us, clock) == []


def test_the_same_history_gives_the_same_changes() -> None:
    us = history(NOISES["heavy tails"], (540.0, 30), (560.0, 30))

    assert change_points(us, Clock.MEASURED) == change_points(list(us), Clock.MEASURED)
