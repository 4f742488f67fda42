"""The merge base beside the head, case by case, as every report shows it. Pure functions; nothing here judges."""

from __future__ import annotations

from dataclasses import dataclass

from farm.analysis.figures import gate
from farm.model.run import BaseRecord, ComparisonRecord, Finding, GateStatus, RunRecord
from farm.stats.robust import median
from farm.text import microseconds, share
from jobs.records import TrialStatus


@dataclass(frozen=True, slots=True)
class BaseCase:
    """One case of the merge base beside the head, both of this run. All µs are of the run's clock."""

    case: str
    base_us: float | None  # median over all its trials; None where none was measured
    head_us: float | None
    samples_us: tuple[float, ...]  # of the base
    comparison: ComparisonRecord | None  # None where nothing could be compared
    status: GateStatus | None  # what the regression gate says of the case; None where it has not judged
    note: str  # why there is nothing to compare; "" where there is


def base_cases(record: RunRecord) -> list[BaseCase]:
    """One entry per case of the run, in its order; empty where it was held against no base."""
    return [] if record.base is None else [_base_case(record, record.base, case) for case in record.cases]


def _base_case(record: RunRecord, base: BaseRecord, case: str) -> BaseCase:
    samples = tuple(
        trial.wall_us
        for trial in base.trials
        if trial.case == case and trial.status is TrialStatus.OK and trial.wall_us is not None
    )
    of_head = record.median_us.get(case)
    judged = gate(record, "regression")
    said = [finding for finding in judged.findings if finding.case == case] if judged else []
    comparison = base.comparison.get(case)
    return BaseCase(
        case=case,
        base_us=median(list(samples)) if samples else None,
        head_us=of_head.overall if of_head else None,
        samples_us=samples,
        comparison=comparison,
        status=next((finding.status for finding in said if finding.status), judged.status if judged else None),
        note="" if comparison else _note(base, case, said),
    )


def _note(base: BaseRecord, case: str, said: list[Finding]) -> str:
    if said:
        return said[0].message
    broken = next((build.failure for build in base.builds if build.case == case and build.failure), None)
    return base.lacks or (f"the merge base could not be built: {broken.message}" if broken else "nothing was compared")


def sentence(of_case: BaseCase) -> str:
    """The merge base and the head in one sentence."""
    found = of_case.comparison
    if found is None:
        return of_case.note
    interval = f", interval {span(found)}" if found.interval else ""
    times = f"{microseconds(of_case.head_us)} µs against {microseconds(of_case.base_us)} µs"
    return f"{found.answer}: {times}, ratio {found.ratio:.4f}{interval}, {share(found.allowed)} slower allowed"


def span(found: ComparisonRecord) -> str:
    """The interval of the ratio; "–" on an exact clock, where there is none."""
    return f"{found.interval[0]:.4f} to {found.interval[1]:.4f}" if found.interval else "–"
