"""Every output of every trial lies within its tolerance."""

from __future__ import annotations

from farm.gates import each_output
from farm.gates.protocol import Evidence
from farm.model.run import GateRecord
from farm.text import outliers_of
from jobs.records import OutputRecord, TrialRecord


class ToleranceGate:
    """Fails on any output outside its tolerance, and on none at all: a trial without outputs proves nothing."""

    name = "tolerance"

    def judge(self, evidence: Evidence) -> GateRecord:
        """Failed with one finding per offending output, errored where a case has no trusted trial."""
        return each_output.judge(self.name, evidence, "measured", _complaints)


def _complaints(trial: TrialRecord) -> dict[str, str]:
    return {name: "" if output.tolerance.passed else _describe(output) for name, output in trial.outputs.items()}


def _describe(output: OutputRecord) -> str:
    tolerance = output.tolerance
    if tolerance.problem:
        return tolerance.problem
    if tolerance.nonfinite:
        return f"{tolerance.nonfinite} NaN or Inf elements, the first at {tolerance.worst_index}"
    instead = "" if tolerance.worst_actual is None else f": {tolerance.worst_actual:g} for {tolerance.worst_expected:g}"
    return f"{outliers_of(output)}; worst at {tolerance.worst_index}{instead}"
