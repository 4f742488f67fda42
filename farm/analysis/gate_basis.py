"""What a gate has passed a run on, in a few words for each case. Pure; nothing here judges."""

from __future__ import annotations

from collections.abc import Callable

from farm.analysis.figures import WorstOutput, agreement, case_times, measured, worst_outputs
from farm.model.run import GateRecord, GateStatus, RunRecord
from farm.text import counted, microseconds, outlier_count, signed_share


def basis(record: RunRecord, gate: GateRecord) -> list[str]:
    """Return one line for each case of what `gate` has passed on; none for a gate that did not pass."""
    say = _BASES.get(gate.name, _trials)
    return say(record) if gate.status is GateStatus.PASSED else []


def _trials(record: RunRecord) -> list[str]:
    return [f"{case}: {counted(len(measured(record, case)), 'trial')}" for case in record.cases]


def _tolerance(record: RunRecord) -> list[str]:
    lines = []
    for case in record.cases:
        outputs = worst_outputs(record, case)
        trials = counted(len(measured(record, case)), "trial")
        lines.append(f"{case}: {counted(len(outputs), 'output')} in {trials}{_most_outliers(outputs)}")
    return lines


def _most_outliers(outputs: list[WorstOutput]) -> str:
    if not outputs:
        return ""
    worst = max(outputs, key=lambda found: found.worst.tolerance.outlier_share)
    return f", at most {outlier_count(worst.worst)} elements are outliers ({worst.output})"


def _determinism(record: RunRecord) -> list[str]:
    return [f"{case}: the same bits on {agreement(record, case).extent}" for case in record.cases]


def _budget(record: RunRecord) -> list[str]:
    lines = []
    for time in case_times(record):
        held = f"{time.set_by} {microseconds(time.limit_us)} µs" if time.limit_us is not None else "without a budget"
        left = f", left {signed_share(time.left)}" if time.left is not None else ""
        lines.append(f"{time.case}: median {microseconds(time.median_us)} µs, {held}{left}")
    return lines


def _regression(record: RunRecord) -> list[str]:
    if record.base is None:
        return []
    return [
        f"{case}: {found.ratio:.4f} of the time of the merge base {record.base.commit[:12]}, "
        f"{counted(found.rounds, 'round')}"
        for case, found in record.base.comparison.items()
    ]


_BASES: dict[str, Callable[[RunRecord], list[str]]] = {
    "tolerance": _tolerance,
    "determinism": _determinism,
    "budget": _budget,
    "regression": _regression,
}
