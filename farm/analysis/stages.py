"""Where the time of one trial went, stage by stage, and how idle its cores were. Pure functions on its tasks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from farm.analysis.critical_path import PathStep, critical_path
from farm.text import counting_order
from jobs.records import TaskRecord


@dataclass(frozen=True, slots=True)
class StageProfile:
    """One trial's tasks and the chain of them that made it as long as it was."""

    tasks: Sequence[TaskRecord]
    path: Sequence[PathStep]  # empty where no dependency is known


@dataclass(frozen=True, slots=True)
class StageTime:
    """One stage's tasks in one trial, and the same of a baseline's trial where there is one."""

    stage: str  # "" for tasks without a label
    tasks: int
    mean_us: float
    total_us: float  # over all cores, so the totals of all stages may exceed the wall time
    critical_us: float | None  # of the stage's tasks on the critical path; None where no dependency is known
    critical_share: float | None  # of the wall time
    base_total_us: float | None = None  # 0 for a stage the baseline did not have
    base_critical_us: float | None = None

    @property
    def delta_us(self) -> float | None:
        """How much longer its tasks take in all than the baseline's."""
        return None if self.base_total_us is None else self.total_us - self.base_total_us

    @property
    def critical_delta_us(self) -> float | None:
        """How much more of the critical path they are."""
        if self.critical_us is None or self.base_critical_us is None:
            return None
        return self.critical_us - self.base_critical_us


@dataclass(frozen=True, slots=True)
class CoreTime:
    """How long one core worked."""

    core: str
    tasks: int
    busy_us: float
    busy_share: float  # of the wall time; the rest is idle


def profile(tasks: Sequence[TaskRecord]) -> StageProfile:
    """`tasks` with their critical path."""
    return StageProfile(tasks, critical_path(tasks))


def wall_us(tasks: Sequence[TaskRecord]) -> float:
    """Last end − first start; 0 without tasks."""
    if not tasks:
        return 0.0
    return max(task.start_us + task.duration_us for task in tasks) - min(task.start_us for task in tasks)


def stage_times(of: StageProfile, baseline: StageProfile | None = None) -> list[StageTime]:
    """One entry a stage, the longest part of the critical path first, then by total.

    `baseline` is that of a trial to compare with, of the same clock; its stages that are gone come last.
    """
    totals, counts, critical = _sums(of)
    base_totals, _, base_critical = _sums(baseline or StageProfile((), ()))
    wall = wall_us(of.tasks)
    found = []
    for stage in {**totals, **base_totals}:
        count, total = counts[stage], totals.get(stage, 0.0)
        on_path = critical.get(stage, 0.0) if critical is not None else None
        base_on_path = base_critical.get(stage, 0.0) if baseline and base_critical is not None else None
        found.append(
            StageTime(
                stage=stage,
                tasks=count,
                mean_us=total / count if count else 0.0,
                total_us=total,
                critical_us=on_path,
                critical_share=on_path / wall if on_path is not None and wall else None,
                base_total_us=base_totals.get(stage, 0.0) if baseline else None,
                base_critical_us=base_on_path,
            )
        )
    return sorted(found, key=lambda stage: (-(stage.critical_us or 0.0), -stage.total_us, stage.stage))


def waiting_us(of: StageProfile) -> float | None:
    """How much of the wall time nothing on the critical path ran; None where no dependency is known."""
    return sum(step.wait_us for step in of.path) if of.path else None


def waiting_share(of: StageProfile) -> float | None:
    """`waiting_us` as a share of the wall time."""
    waited, wall = waiting_us(of), wall_us(of.tasks)
    return waited / wall if waited is not None and wall else None


def core_times(tasks: Sequence[TaskRecord]) -> list[CoreTime]:
    """One entry a core that ran anything, in counting order."""
    wall = wall_us(tasks)
    busy: dict[str, float] = defaultdict(float)
    for task in tasks:
        busy[task.core] += task.duration_us
    counts = Counter(task.core for task in tasks)
    return [
        CoreTime(core, counts[core], busy[core], busy[core] / wall if wall else 0.0)
        for core in sorted(busy, key=counting_order)
    ]


def _sums(of: StageProfile) -> tuple[dict[str, float], Counter[str], dict[str, float] | None]:
    """Stage → total µs, number of tasks, µs on the critical path (None where that is not known)."""
    totals: dict[str, float] = defaultdict(float)
    for task in of.tasks:
        totals[task.stage] += task.duration_us
    critical: dict[str, float] = defaultdict(float)
    for step in of.path:
        critical[step.task.stage] += step.task.duration_us
    return dict(totals), Counter(task.stage for task in of.tasks), dict(critical) if of.path else None
