from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from farm.stats.robust import median, median_absolute_deviation, median_interval

SAMPLES = st.lists(st.floats(min_value=0.1, max_value=1e6), min_size=1, max_size=60)


def test_too_few_samples_have_no_interval() -> None:
    assert median_interval([1.0] * 5) is None
    assert median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == (1.0, 6.0)


def test_nine_samples_use_the_second_and_the_eighth() -> None:
    # Binomial(9, 1/2): 2·P(X < 2) = 2·10/512 = 3.9 %, and one rank further 2·46/512 = 18 %.
    assert median_interval([float(n) for n in range(1, 10)]) == (2.0, 8.0)


def test_deviation_is_zero_when_most_samples_agree() -> None:
    assert median_absolute_deviation([5.0, 5.0, 5.0, 9.0]) == 0.0
    assert median_absolute_deviation([1.0, 2.0, 4.0]) == 1.0


def test_the_interval_is_no_wider_than_its_confidence_needs() -> None:
    for n in range(6, 80):
        interval = median_interval([float(rank) for rank in range(1, n + 1)])
        assert interval is not None
        k = int(interval[0])
        assert 1 - 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n < 0.95
        assert interval[1] == n + 1 - k


def test_a_confidence_is_reached_by_exactly_that_chance() -> None:
    assert median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 1 - 2 / 64) == (1.0, 6.0)
    assert median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 1 - 1 / 64) is None


@given(SAMPLES)
def test_the_interval_brackets_the_median_and_never_leaves_the_samples(samples: list[float]) -> None:
    interval = median_interval(samples)

    if interval is not None:
        low, high = interval
        assert min(samples) <= low <= median(samples) <= high <= max(samples)


@given(st.integers(min_value=6, max_value=60))
def test_the_interval_keeps_its_confidence(n: int) -> None:
    interval = median_interval([float(rank) for rank in range(1, n + 1)])

    assert interval is not None
    k = int(interval[0])
    tail = sum(math.comb(n, i) for i in range(k)) / 2**n
    assert 1 - 2 * tail >= 0.95
