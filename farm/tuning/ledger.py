"""A kernel's history, measured: from the untuned kernel to the best one a step at a time, and each step left out once.

Two questions, two columns. *So far*: what a step gained when it was taken, on top of those before it. *Without*: what
the best kernel loses when only this step is taken back. They differ where steps depend on one another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from farm.model.ledger import LedgerEntry, LedgerRecord, LedgerStageTime, StepEntry
from farm.tuning.campaign import Point, disqualification
from jobs.records import TrialRecord
from kernel.clock import Clock
from kernel.errors import TuningError
from kernel.spec import TunableKernel

UNTUNED = "untuned"


@dataclass(slots=True)
class Ledger:
    """A `farm.tuning.campaign.Campaign` over the fixed points of a kernel's history."""

    kernel: TunableKernel
    case: str
    report: Callable[[LedgerEntry, int, int], None]  # entry, how many are done, of how many
    entries: dict[str, LedgerEntry] = field(default_factory=dict)  # by label
    _waiting: Iterator[Point] | None = None
    _total: int = 0

    def next(self) -> Point | None:
        """The next point that no guard refuses."""
        if self._waiting is None:
            points = self._points()
            self._total = len(points)
            self._waiting = iter(points)
        for point in self._waiting:
            try:
                self.kernel.tuning(self.case, point.overrides)
            except TuningError as error:
                self._keep(_refused(point, str(error)))
                continue
            return point
        return None

    def took(self, point: Point, record: TrialRecord) -> None:
        """Keep what was measured."""
        self._keep(
            LedgerEntry(
                label=point.label,
                tuning=self.kernel.tuning(self.case, point.overrides).as_dict(),
                fingerprint=record.fingerprint,
                wall_us=None if disqualification(record) else record.wall_us,
                disqualified=disqualification(record),
                stages=_stages(record),
            )
        )

    def record(self, platform: str, clock: Clock, commit: str, toolchain: dict[str, str]) -> LedgerRecord:
        """The history, once every point is measured; points that are not have no time and say so."""
        entries: dict[str, LedgerEntry] = defaultdict(lambda: _unmeasured())
        entries.update(self.entries)
        steps = []
        before = entries[UNTUNED]
        names = [step.name for step in self.kernel.steps(self.case)]
        best = entries[so_far_label(names[-1])] if names else before
        for step in self.kernel.steps(self.case):
            so_far, without = entries[so_far_label(step.name)], entries[without_label(step.name)]
            steps.append(
                StepEntry(
                    name=step.name,
                    summary=step.summary,
                    knobs=list(step.knobs),
                    so_far=so_far,
                    delta_us=_difference(so_far, before),
                    without=without,
                    loss_us=_difference(without, best),
                )
            )
            before = so_far if so_far.wall_us is not None else before
        return LedgerRecord(
            kernel=self.kernel.name,
            case=self.case,
            platform=platform,
            clock=clock,
            commit=commit,
            toolchain=toolchain,
            untuned=entries[UNTUNED],
            steps=steps,
        )

    def _points(self) -> list[Point]:
        untuned = dict(self.kernel.untuned(self.case))
        points = [Point(UNTUNED, untuned)]
        remaining = dict(untuned)
        for step in self.kernel.steps(self.case):
            remaining = {key: value for key, value in remaining.items() if key not in step.knobs}
            points.append(Point(so_far_label(step.name), dict(remaining)))
            points.append(Point(without_label(step.name), _only(untuned, step.knobs)))
        return points

    def _keep(self, entry: LedgerEntry) -> None:
        self.entries[entry.label] = entry
        self.report(entry, len(self.entries), self._total)


def so_far_label(step: str) -> str:
    """The point with every step up to `step`."""
    return f"to-{step}"


def without_label(step: str) -> str:
    """The best point without `step`."""
    return f"without-{step}"


def _only(untuned: Mapping[str, str], knobs: tuple[str, ...]) -> dict[str, str]:
    return {key: value for key, value in untuned.items() if key in knobs}


def _refused(point: Point, why: str) -> LedgerEntry:
    return LedgerEntry(label=point.label, tuning={}, fingerprint="", wall_us=None, disqualified=why)


def _unmeasured() -> LedgerEntry:
    return LedgerEntry(label="", tuning={}, fingerprint="", wall_us=None, disqualified="not measured")


def _difference(entry: LedgerEntry, reference: LedgerEntry) -> float | None:
    if entry.wall_us is None or reference.wall_us is None:
        return None
    return entry.wall_us - reference.wall_us


def _stages(record: TrialRecord) -> dict[str, LedgerStageTime]:
    durations: dict[str, list[float]] = defaultdict(list)
    for task in record.tasks:
        durations[task.stage].append(task.duration_us)
    return {stage: LedgerStageTime(tasks=len(us), total_us=sum(us)) for stage, us in durations.items()}
