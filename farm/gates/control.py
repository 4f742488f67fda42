"""The program is as right and as fast on other inputs as on those it was timed with.

One more trial a case draws its inputs from another seed. A program that answers from memory, or that has learnt its one
draw by heart, is wrong on it; one whose time depends on what it finds in its inputs is slower or faster on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from farm.gates.protocol import Evidence, judge_cases
from farm.model.run import Finding, GateRecord, GateStatus
from farm.stats.robust import median
from farm.stats.thresholds import RESOLUTION_US
from jobs.records import TrialRecord, TrialStatus

# One sample against a device's median: what noise alone hardly ever does, and what skipping work easily does.
ALLOWED_NOISY = 0.25


@dataclass(frozen=True, slots=True)
class ControlGate:
    """Holds each case's control trial to the trials it controls."""

    controls: tuple[TrialRecord, ...]  # every attempt

    name = "control"

    def judge(self, evidence: Evidence) -> GateRecord:
        """Failed where the second draw is wrong or takes another time, errored where it was not measured."""
        return judge_cases(self.name, evidence, self._judge_case)

    def _judge_case(self, case: str, evidence: Evidence) -> tuple[GateStatus, list[Finding]]:
        measured = [each for each in self.controls if each.case == case and each.status is TrialStatus.OK]
        if not measured:
            message = "the second draw of the inputs was not measured"
            return GateStatus.ERRORED, [Finding(message=message, case=case)]
        findings = [finding for trial in measured for finding in _faults(trial, evidence)]
        return (GateStatus.FAILED if findings else GateStatus.PASSED), findings


def _faults(trial: TrialRecord, evidence: Evidence) -> list[Finding]:
    found = [
        Finding(
            message=f"wrong on a second draw of the inputs: {100 * output.tolerance.outlier_share:.3f} % outliers",
            case=trial.case,
            device=trial.device,
            output=name,
        )
        for name, output in trial.outputs.items()
        if not output.tolerance.passed
    ]
    others = [each for each in evidence.measured(trial.case) if each.device == trial.device and each.wall_us]
    if not others or trial.wall_us is None:
        return found
    usual = median([each.wall_us for each in others if each.wall_us is not None])
    allowed = ALLOWED_NOISY * usual if evidence.noisy else RESOLUTION_US
    if abs(trial.wall_us - usual) > allowed:
        message = f"the time depends on the inputs: {usual:.2f} µs, and {trial.wall_us:.2f} µs on a second draw of them"
        found.append(Finding(message=message, case=trial.case, device=trial.device))
    if {each.fingerprint for each in others} != {trial.fingerprint}:
        message = "the compiled program depends on the inputs: its fingerprint differs on a second draw of them"
        found.append(Finding(message=message, case=trial.case, device=trial.device))
    return found
