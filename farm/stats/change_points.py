"""Where a history of medians changed its level.

On an exact clock every step above the clock's resolution is a change. A creep of steps below it is one where it has
added up to `CREEP_SHARE` of its level.

On a noisy one: E-divisive (Matteson and James, A Nonparametric Approach for Multiple Change Point Analysis of
Multivariate Data, JASA 109, 2014), used on benchmark histories by Daly et al. (The Use of Change Point Detection to
Identify Software Performance Regressions in a Continuous Integration System, ICPE 2020). No distribution is assumed.
In a segment, the neighbours X (n values, from its start) and Y (m values, to its end or short of it) that make

    Q = n·m/(n+m) · ( 2·mean|x − y| − mean|x − x'| − mean|y − y'| )

largest meet at a change if at most 1 % of random orders of the same values have a split as good; then both sides of it
are searched in turn. Values are logarithms of times, so that a change of 5 % weighs the same everywhere.

`ruptures` was considered: it needs SciPy, and its methods take a penalty or a number of changes, not a significance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from farm.stats.bootstrap import seed_of
from farm.stats.robust import median
from farm.stats.thresholds import RESOLUTION_US
from kernel.clock import Clock, is_time

SIGNIFICANCE = 0.01  # share of flat segments in which a change is seen by chance
ORDERS = 499  # random orders tried: p is a multiple of 1/500
CREEP_SHARE = 0.001  # of an exact time: less is neither seen in a report nor worth a search
SHORTEST = 3  # points on each side; a single odd run is no change of level


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """A history has another level from `index` on. Both levels are medians, in µs of the history's clock."""

    index: int
    before_us: float
    after_us: float

    @property
    def change(self) -> float:
        """The difference as a share of the level before; negative is faster."""
        return self.after_us / self.before_us - 1


def change_points(us: Sequence[float], clock: Clock) -> list[ChangePoint]:
    """Return the changes of level in `us`, medians in µs of `clock`, oldest first.

    Raises `ValueError` for a median that is not finite and above 0.
    """
    if strange := [value for value in us if not is_time(value)]:
        raise ValueError(f"{strange[0]} µs is not a time, so it has no place in a history")
    starts = _exact_starts(us) if clock is Clock.SIMULATED else _noisy_starts(us)
    bounds = [0, *starts, len(us)]
    levels = [median(us[start:end]) for start, end in pairwise(bounds) if end > start]
    return [ChangePoint(start, *around) for start, around in zip(starts, pairwise(levels), strict=True)]


def _exact_starts(us: Sequence[float]) -> list[int]:
    """A creep is compared with the start of the level, not with the neighbour: else it would add up unseen."""
    starts: list[int] = []
    level = us[0] if us else 0.0
    for index, (before, value) in enumerate(pairwise(us), 1):
        crept = abs(value - level) > max(RESOLUTION_US, CREEP_SHARE * level)
        if abs(value - before) > RESOLUTION_US or crept:
            starts.append(index)
            level = value
    return starts


def _noisy_starts(us: Sequence[float]) -> list[int]:
    values = np.log(np.asarray(us, dtype=np.float64))
    generator = np.random.default_rng(seed_of(values))
    starts: list[int] = []
    segments = [(0, len(values))]
    while segments:
        start, end = segments.pop()
        if end - start < 2 * SHORTEST:
            continue
        distances = np.abs(np.subtract.outer(values[start:end], values[start:end]))
        split, divergence = _best_split(distances)
        if _significant(distances, divergence, generator):
            starts.append(start + split)
            segments += [(start, start + split), (start + split, end)]
    return sorted(starts)


def _best_split(distances: NDArray[np.float64]) -> tuple[int, float]:
    """How many values stand before the best split, and its Q. `distances` is |value − value| of all pairs, [n, n].

    X is what stands before `left` and Y what follows, up to any `end`: a stretch that came and went shows against what
    was before it, not against the rest. With S(a, b) the sum over pairs i < k of i < a, k < b, the sums within X,
    within Y and across are S(left, left), S(end, end) − S(left, end) and S(left, end) − S(left, left).
    """
    count = len(distances)
    sums = np.zeros((count + 1, count + 1))
    sums[1:, 1:] = np.triu(distances).cumsum(axis=0).cumsum(axis=1)
    left = np.arange(SHORTEST, count - SHORTEST + 1)[:, np.newaxis]
    end = np.arange(2 * SHORTEST, count + 1)[np.newaxis, :]
    right = np.maximum(end - left, SHORTEST)  # where it is less, `end` is too near and is left out below
    first, both, whole = sums[left, left], sums[left, end], sums[end, end]
    energy = 2 * (both - first) / (left * right)
    energy -= 2 * first / (left * (left - 1)) + 2 * (whole - both) / (right * (right - 1))
    divergences = np.where(end - left >= SHORTEST, left * right / (left + right) * energy, -np.inf)
    best = int(np.argmax(divergences))
    return int(left[best // divergences.shape[1], 0]), float(divergences.flat[best])


def _significant(distances: NDArray[np.float64], divergence: float, generator: np.random.Generator) -> bool:
    """True where p = (1 + orders with a split as good) / (1 + orders) is at most `SIGNIFICANCE`."""
    allowed = int(SIGNIFICANCE * (1 + ORDERS)) - 1
    as_good = 0
    for _ in range(ORDERS):
        order = generator.permutation(len(distances))
        # Sums in another order round differently: equal values must count as equal.
        as_good += _best_split(distances[np.ix_(order, order)])[1] >= divergence - 1e-12
        if as_good > allowed:
            return False
    return True
