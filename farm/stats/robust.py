"""Robust statistics of wall times: pure functions on lists of µs."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence


def median(samples: Sequence[float]) -> float:
    """Median of at least one sample; the mean of the two middle ones for an even count."""
    return statistics.median(samples)


def median_absolute_deviation(samples: Sequence[float]) -> float:
    """Median of |sample − median|, unscaled: 0 when more than half of the samples agree."""
    centre = median(samples)
    return median([abs(sample - centre) for sample in samples])


@functools.cache
def binomial_tail(n: int, most: int) -> float:
    """Return P(Binomial(n, ½) ≤ most): how often at most `most` of `n` samples lie on one side of their true median."""
    return float(sum(math.comb(n, k) for k in range(most + 1)) / 2**n)


def median_interval(samples: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Distribution-free confidence interval of the median, or None where there are too few samples for one.

    The number of samples below the true median is Binomial(n, ½), so the k-th smallest and k-th largest sample bracket
    it with probability 1 − 2·P(Binomial(n, ½) < k) (Conover, Practical Nonparametric Statistics, §3.2). The largest k
    that keeps `confidence` is used; for 95 % that needs n ≥ 6.
    """
    ordered = sorted(samples)
    n = len(ordered)
    ranks = (k for k in range(n // 2, 0, -1) if 1 - 2 * binomial_tail(n, k - 1) >= confidence)
    rank = next(ranks, 0)
    if rank == 0:
        return None
    return ordered[rank - 1], ordered[n - rank]
