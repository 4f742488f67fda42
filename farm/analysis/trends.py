"""How the medians of a kernel's case went over its runs, and where they changed."""

from __future__ import annotations

import functools
import statistics
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from farm.errors import InfrastructureError
from farm.model.run import BudgetRecord, Verdict
from farm.store.row_mapping import HistoryPoint
from farm.store.run_store import Store
from kernel.clock import Clock

if TYPE_CHECKING:
    from farm.stats.change_points import ChangePoint


@dataclass(frozen=True, slots=True)
class Trend:
    """The medians of one case on one platform, oldest first, at least one; all of one clock."""

    kernel: str
    case: str
    platform: str
    clock: Clock
    points: tuple[HistoryPoint, ...]
    changes: tuple[ChangePoint, ...]
    budget: BudgetRecord | None  # what the newest of them was held to
    left_out: int  # runs that errored: what they measured may be half of it

    @property
    def medians(self) -> list[float]:
        """Of every run, in µs of `clock`."""
        return [median_of(point) for point in self.points]


@dataclass(frozen=True, slots=True)
class CommitMedian:
    """The runs of one commit in a trend."""

    commit: str
    points: tuple[HistoryPoint, ...]  # oldest first, at least one
    us: float  # median of their medians, µs of the trend's clock


def toolchain_changes(trend: Trend, change: ChangePoint) -> list[str]:
    """Return what of the toolchain is other from `change` on than in the run before it: "name: old, now new"."""
    before, after = (trend.points[index].toolchain for index in (change.index - 1, change.index))
    return [
        f"{name}: {before.get(name, 'none')}, now {after.get(name, 'none')}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def by_commit(trend: Trend) -> tuple[CommitMedian, ...]:
    """The trend commit by commit, in the order in which they were first run; a store knows no history of git's."""
    runs: dict[str, list[HistoryPoint]] = defaultdict(list)
    for point in trend.points:
        runs[point.commit].append(point)
    return tuple(
        CommitMedian(commit, tuple(points), statistics.median(map(median_of, points)))
        for commit, points in runs.items()
    )


def trend_cases(store: Store, kernel: str, platform: str, limit: int) -> list[str]:
    """The cases of the newest `limit` runs of a kernel on a platform."""
    return sorted({case for run in store.list(limit, kernel, platform=platform) for case in run.cases})


def find_trend(store: Store, kernel: str, case: str, platform: str, limit: int) -> Trend | None:
    """The trend of the newest `limit` runs that have a verdict; None where none of them says anything.

    Raises `InfrastructureError` where the store mixes clocks.
    """
    everything = store.history(kernel, case, platform, limit)
    points = [point for point in everything if point.verdict is not Verdict.ERRORED]
    if not points:
        return None
    clock = points[-1].median.clock
    if any(point.median.clock is not clock for point in points):
        raise InfrastructureError(f"{kernel} {case} on {platform} has simulated and measured times in the store")
    return Trend(
        kernel=kernel,
        case=case,
        platform=platform,
        clock=clock,
        points=tuple(points),
        changes=_changes(tuple(median_of(point) for point in points), clock),
        budget=store.outline(points[-1].run_id).budget.get(case),
        left_out=len(everything) - len(points),
    )


def median_of(point: HistoryPoint) -> float:
    """The median of one run, µs."""
    assert point.median.overall is not None, "a history has no runs without samples"
    return point.median.overall


@functools.lru_cache(maxsize=256)
def _changes(us: tuple[float, ...], clock: Clock) -> tuple[ChangePoint, ...]:
    """Remembered: on a noisy clock the search takes seconds, and between two runs everybody asks for the same one."""
    from farm.stats.change_points import change_points  # NumPy, which no other command should wait for

    return tuple(change_points(us, clock))
