"""How far each device's times are from those of its peers, over many runs. All but `recent` is pure.

Compared is within a run only: its devices ran the same program at the same time, so a kernel that became slower or a
warm machine room moves all of them. A device's drift is the median, over runs and cases, of

    its median / median of the other devices' medians - 1
"""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Engine, select

from farm.model.run import Verdict
from farm.stats.robust import median
from farm.stats.thresholds import MIN_SHARE
from farm.store.engine import transaction
from farm.store.tables import RUN

RUNS = 200  # looked back: enough that one odd run moves nothing, few enough that a repair shows
ENOUGH = 6  # comparisons; the median of fewer has no 95 % interval (see `farm.stats.robust.median_interval`)

PerDevice = Mapping[str, float]  # device → its median of one case in one run, µs of that run's clock


@dataclass(frozen=True, slots=True)
class Drift:
    """One device against its peers."""

    share: float  # above 0: slower than they
    runs: int  # comparisons it is the median of, one a run and case

    @property
    def odd(self) -> bool:
        """Whether that is more than devices that are equal differ by, over enough runs to say so."""
        return self.runs >= ENOUGH and abs(self.share) > MIN_SHARE


def drifts(medians: Iterable[PerDevice]) -> dict[str, Drift]:
    """Device → its drift; a device that never ran beside another one has none."""
    ratios: dict[str, list[float]] = defaultdict(list)
    for per_device in medians:
        for device, us in per_device.items():
            others = [other for name, other in per_device.items() if name != device]
            centre = median(others) if others else 0.0
            if centre > 0:
                ratios[device].append(us / centre - 1)
    return {device: Drift(median(found), len(found)) for device, found in ratios.items()}


def recent(engine: Engine, platform: str) -> dict[str, Drift]:
    """Device → its drift over the last `RUNS` runs of `platform` that measured all they were to."""
    query = (
        select(RUN.c.record)
        .where(RUN.c.platform == platform, RUN.c.verdict.in_([Verdict.PASSED.value, Verdict.FAILED.value]))
        .order_by(RUN.c.started_at.desc())
        .limit(RUNS)
    )
    with transaction(engine, "read") as connection:
        records = connection.execute(query).scalars().all()
    return drifts(per_device for text in records for per_device in _medians(text))


@functools.lru_cache(maxsize=4 * RUNS)
def _medians(record: str) -> tuple[PerDevice, ...]:
    """Of each case of a record as the store keeps it; remembered by its text."""
    return tuple(case["per_device"] for case in json.loads(record)["median_us"].values())
