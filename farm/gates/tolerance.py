"""Every output of every trial lies within its tolerance."""

from __future__ import annotations

from farm.gates.protocol import Evidence, with_status
from farm.record import Finding, GateRecord, GateStatus
from jobs.records import OutputRecord, TrialRecord


class ToleranceGate:
    """Fails on any output outside its tolerance, and on none at all: a trial without outputs proves nothing."""

    name = "tolerance"

    def judge(self, evidence: Evidence) -> GateRecord:
        """Failed with one finding per offending output, errored where a case has no trusted trial."""
        wrong: list[Finding] = []
        absent: list[Finding] = []
        for case in evidence.cases:
            trials = evidence.trusted(case)
            if not trials:
                absent.append(Finding(message="no trial measured any output", case=case))
            for trial in trials:
                absent.extend(_missing_outputs(trial, evidence.outputs[case]))
                wrong.extend(
                    _finding(trial, name, output)
                    for name, output in trial.outputs.items()
                    if not output.tolerance.passed
                )
        if wrong:
            findings = with_status(wrong, GateStatus.FAILED) + with_status(absent, GateStatus.ERRORED)
            return GateRecord(name=self.name, status=GateStatus.FAILED, findings=findings)
        if absent:
            return GateRecord(name=self.name, status=GateStatus.ERRORED, findings=absent)
        return GateRecord(name=self.name, status=GateStatus.PASSED)


def _missing_outputs(trial: TrialRecord, expected: tuple[str, ...]) -> list[Finding]:
    return [
        Finding(
            message=f"output {name} was not recorded",
            case=trial.case,
            device=trial.device,
            repeat=trial.repeat,
            output=name,
        )
        for name in expected
        if name not in trial.outputs
    ]


def _finding(trial: TrialRecord, name: str, output: OutputRecord) -> Finding:
    return Finding(
        message=_describe(output),
        case=trial.case,
        device=trial.device,
        repeat=trial.repeat,
        output=name,
    )


def _describe(output: OutputRecord) -> str:
    tolerance = output.tolerance
    if tolerance.problem:
        return tolerance.problem
    if tolerance.nonfinite:
        return f"{tolerance.nonfinite} NaN or Inf elements, the first at {tolerance.worst_index}"
    instead = "" if tolerance.worst_actual is None else f": {tolerance.worst_actual:g} for {tolerance.worst_expected:g}"
    return (
        f"{tolerance.outlier_share:.4%} of the elements are outliers, {tolerance.allowed_outlier_share:.4%} allowed; "
        f"worst at {tolerance.worst_index}{instead}"
    )
