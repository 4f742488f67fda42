"""Assertions about trial records, whose messages say what a person needs. Imports neither Ray nor torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from farm.text import outliers_of

if TYPE_CHECKING:
    from jobs.records import OutputRecord, TrialRecord


def assert_matches_golden(trial: TrialRecord) -> None:
    """Every output of `trial` is within its tolerance. Raises `AssertionError`, also where nothing was measured."""
    _require_measured(trial)
    wrong = [_wrong(name, output) for name, output in trial.outputs.items() if not output.tolerance.passed]
    if wrong:
        raise AssertionError(f"{trial.case} on {trial.device} does not match its golden: {'; '.join(wrong)}")


def assert_deterministic(trials: Sequence[TrialRecord]) -> None:
    """Every output has the same bits in all `trials`, of one case, seed and input set.

    Raises `AssertionError`; `ValueError` for fewer than two trials, which prove nothing, and for trials of two cases.
    """
    if len(trials) < 2:
        raise ValueError(f"{len(trials)} trials prove nothing about determinism; pass at least two")
    if len({(trial.case, trial.seed) for trial in trials}) > 1:
        raise ValueError("these trials are of several cases or seeds; their outputs are meant to differ")
    for trial in trials:
        _require_measured(trial)
    first = trials[0]
    for other in trials[1:]:
        for name, output in first.outputs.items():
            if other.outputs[name].sha256 != output.sha256:
                raise AssertionError(
                    f"{first.case}: output '{name}' has other bits on {other.device} (repeat {other.repeat}) than on "
                    f"{first.device} (repeat {first.repeat})"
                )


def _require_measured(trial: TrialRecord) -> None:
    if trial.failure is not None:
        raise AssertionError(f"{trial.case} on {trial.device} was not measured: {trial.failure.message}")
    if not trial.outputs:
        raise AssertionError(f"{trial.case} on {trial.device} has no outputs")


def _wrong(name: str, output: OutputRecord) -> str:
    found = output.tolerance
    if found.problem:
        return found.problem
    worst = f"worst at {found.worst_index}: {found.worst_actual} where {found.worst_expected} is expected"
    return f"'{name}': {outliers_of(output)}; {worst}"
