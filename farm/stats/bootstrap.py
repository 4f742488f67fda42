"""A bootstrap confidence interval of the ratio of medians, for two programs timed in turn on the same devices.

The estimator: on each device d the ratio of the medians of its rounds, pooled as the geometric mean over devices,

    ratio = exp( mean over d of log( median_r head[d, r] / median_r base[d, r] ) )

A device's own speed, and all that changes it from one day to the next, stands above and below the line of its own ratio
and cancels. The interval: rounds are drawn with replacement within each device, both times of a round together (what
shook one shook the other), and the quantiles of the ratios so found are taken (percentile bootstrap stratified by
device; Efron and Tibshirani, An Introduction to the Bootstrap, 1993, §13.3). Devices are not drawn: the answer is about
these.

NumPy suffices for that; SciPy's `bootstrap` has no strata, so the drawing would have to be written beside it anyway.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000  # leaves 20 ratios beyond each end of a 98 % interval
Rounds = Sequence[tuple[float, float]]  # (base, head) of each round of one device, in one unit


@dataclass(frozen=True, slots=True)
class RatioInterval:
    """How many times as long the head takes as the base: 1.02 is 2 % slower."""

    ratio: float
    low: float
    high: float


def ratio_interval(rounds: Mapping[str, Rounds], confidence: float) -> RatioInterval:
    """The ratio of medians over the devices of `rounds`, with its interval. All times are above 0, one clock's.

    Draws from a generator seeded by the samples: the same samples give the same interval on every machine.
    """
    of_device = [np.asarray(rounds[device], dtype=np.float64) for device in sorted(rounds)]
    generator = np.random.default_rng(seed_of(*of_device))
    drawn = np.zeros(RESAMPLES)
    for pairs in of_device:
        picked = generator.integers(len(pairs), size=(RESAMPLES, len(pairs)))
        drawn += _log_ratio(pairs[picked])
    tail = (1 - confidence) / 2
    low, high = np.exp(np.quantile(drawn / len(of_device), [tail, 1 - tail]))
    ratio = np.exp(np.mean([_log_ratio(pairs) for pairs in of_device]))
    return RatioInterval(float(ratio), float(low), float(high))


def _log_ratio(pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of the ratio of medians; `pairs` is [..., round, (base, head)]."""
    medians = np.median(pairs, axis=-2)
    return np.asarray(np.log(medians[..., 1] / medians[..., 0]))


def seed_of(*arrays: NDArray[np.float64]) -> int:
    """A seed for a random generator that depends on the values alone, so that chance repeats on every machine."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
    return int.from_bytes(digest.digest()[:8], "little")
