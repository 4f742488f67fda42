"""Which of several times of one thing are outliers: named in every report, and never left out of a result.

The rule is that of the modified z-score (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993): a sample is an
outlier where it lies more than 3.5 scaled median absolute deviations from the median. One odd sample does not widen its
own limit, as it would with a mean and a standard deviation. Two conditions beside it: of fewer than five samples none
is an outlier, because their spread is unknown, and one within 2 % of the median is none, whatever the spread.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

MOST_DEVIATIONS = 3.5
FEWEST_SAMPLES = 5
LEAST_SHARE = 0.02  # of the median
_TO_SIGMA = 1.4826  # a median absolute deviation of normal noise is a standard deviation divided by this


def outliers(samples: Sequence[float]) -> list[int]:
    """Return the places in `samples` of those that are outliers, in their order."""
    if len(samples) < FEWEST_SAMPLES:
        return []
    centre = statistics.median(samples)
    distances = [abs(sample - centre) for sample in samples]
    limit = max(MOST_DEVIATIONS * _TO_SIGMA * statistics.median(distances), LEAST_SHARE * centre)
    return [place for place, distance in enumerate(distances) if distance > limit]
