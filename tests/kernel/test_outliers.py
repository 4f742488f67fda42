"""Which of several times is an outlier."""

from __future__ import annotations

import pytest

from kernel.outliers import outliers
from kernel.platforms.protocol import ModeTime


@pytest.mark.parametrize(
    ("samples", "odd"),
    [
        ([], []),
        ([100.0, 101.0, 99.0, 900.0], []),  # too few to know their spread
        ([100.0, 101.0, 99.0, 100.0, 900.0], [4]),
        ([100.0, 100.0, 100.0, 100.0, 100.0, 103.0], [5]),  # more than half agree
        ([100.0, 100.0, 100.0, 100.0, 100.0, 101.9], []),  # within 2 % of the median
        ([100.0, 110.0, 90.0, 120.0, 80.0, 170.0], []),  # wide, and so is their spread
        ([50.0, 100.0, 101.0, 99.0, 100.0, 300.0], [0, 5]),
    ],
    ids=["none", "few", "one", "agree", "near", "wide", "both sides"],
)
def test_a_time_far_beyond_the_spread_of_the_others_is_one(samples: list[float], odd: list[int]) -> None:
    assert outliers(samples) == odd


def test_the_limit_is_three_and_a_half_scaled_deviations() -> None:
    samples = [95.0, 105.0] * 10 + [100.0]
    limit = 3.5 * 1.4826 * 5

    assert outliers([*samples, 100 + limit - 0.01, 100 - limit + 0.01]) == []
    assert outliers([*samples, 100 - limit - 0.01, 100 + limit + 0.01]) == [21, 22]


def test_rounds_keep_their_outliers_and_name_those_farthest_from_the_median() -> None:
    found = ModeTime.of([10.0] * 100 + [float(us) for us in range(100, 130)])

    assert (found.rounds, found.median_us, found.max_us, found.outliers) == (130, 10.0, 129.0, 30)
    assert found.mean_us == pytest.approx((1000 + sum(range(100, 130))) / 130)
    assert found.outliers_us[:2] == (129.0, 128.0) and len(found.outliers_us) == 20
