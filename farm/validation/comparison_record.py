"""A comparison of head and merge base as a record."""

from __future__ import annotations

from farm.gates.regression import ArmComparison
from farm.model.run import ComparisonRecord


def recorded(comparison: ArmComparison) -> ComparisonRecord:
    """Return what the record of a run says of `comparison`."""
    return ComparisonRecord(
        clock=comparison.clock,
        answer=comparison.answer.value,
        ratio=comparison.ratio,
        interval=list(comparison.interval) if comparison.interval else None,
        allowed=comparison.allowed,
        per_device=comparison.per_device,
        rounds=comparison.rounds,
    )
