"""Robust statistics of wall times: pure functions on lists of µs."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence

_FEWEST_OF_A_DEVICE = 3


def median(samples: Sequence[float]) -> float:
    """Median of at least one sample; the mean of the two middle ones for an even count."""
    return statistics.median(samples)


def median_absolute_deviation(samples: Sequence[float]) -> float:
    """Median of |sample − median|, unscaled: 0 when more than half of the samples agree."""
    centre = median(samples)
    return median([abs(sample - centre) for sample in samples])


def of_devices(samples: Sequence[tuple[str, float]]) -> list[float]:
    """Return times, given as (device, µs), as shares of the median of their device: a slow device is not apart then.

    Where a device has fewer than three samples, that median would be one of them; all are left as they are then.
    """
    by_device: dict[str, list[float]] = {}
    for device, us in samples:
        by_device.setdefault(device, []).append(us)
    if any(len(of_device) < _FEWEST_OF_A_DEVICE for of_device in by_device.values()):
        return [us for _, us in samples]
    levels = {device: median(of_device) for device, of_device in by_device.items()}
    return [us / levels[device] for device, us in samples]


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
