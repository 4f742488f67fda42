"""What a gate has passed a run on, in a few words for each case. Pure; nothing here judges."""

from __future__ import annotations

from collections.abc import Callable

from farm.analysis.figures import agreement, case_times, measured, worst_outputs
from farm.model.run import GateRecord, GateStatus, RunRecord
from farm.text import counted, microseconds, share


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
        worst = max((found.worst.tolerance.outlier_share for found in outputs), default=0.0)
        trials = counted(len(measured(record, case)), "trial")
        lines.append(f"{case}: {counted(len(outputs), 'output')} in {trials}, at most {share(worst)} outliers")
    return lines


def _determinism(record: RunRecord) -> list[str]:
    return [f"{case}: the same bits on {agreement(record, case).extent}" for case in record.cases]


def _budget(record: RunRecord) -> list[str]:
    lines = []
    for time in case_times(record):
        limits = (("ceiling", time.ceiling_us), ("best landed", time.ratchet_us))
        held = ", ".join(f"{name} {microseconds(us)} µs" for name, us in limits if us is not None)
        lines.append(f"{time.case}: median {microseconds(time.median_us)} µs, {held or 'without a budget'}")
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
