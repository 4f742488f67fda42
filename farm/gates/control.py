"""The program is as right and as fast on other inputs as on those it was timed with.

One more trial a case draws its inputs from another seed. A program that answers from memory, or that has learnt its one
draw by heart, is wrong on it; one whose time depends on what it finds in its inputs is slower or faster on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from farm.gates.completeness import gaps
from farm.gates.protocol import Evidence, gravest, judge_cases, with_status
from farm.model.run import Finding, GateRecord, GateStatus
from farm.stats.robust import median
from farm.stats.thresholds import RESOLUTION_US
from farm.text import outliers_of
from jobs.records import Arm, TrialRecord

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
        drawn = replace(evidence, trials=self.controls, arm=Arm.CONTROL)
        measured = drawn.measured(case)
        if not measured:
            message = "the second draw of the inputs was not measured"
            return GateStatus.ERRORED, [Finding(message=message, case=case)]
        findings = with_status(gaps(drawn, case), GateStatus.ERRORED)
        for trial in measured:
            if trial.device in evidence.suspects.get(case, ()):
                findings.append(_errored(trial, "the second draw was measured on a suspect device"))
                continue
            findings += _wrong(trial, evidence.outputs.get(case, ()))
            findings += _compared(trial, evidence)
        return gravest(
            each.status or GateStatus.ERRORED for each in findings
        ) if findings else GateStatus.PASSED, findings


def _wrong(trial: TrialRecord, names: Sequence[str]) -> list[Finding]:
    """Outputs that are out of tolerance on the second draw, and those that are not there."""
    lacking = [
        _errored(trial, f"output {name} was not measured on a second draw of the inputs")
        for name in names
        if name not in trial.outputs
    ]
    return lacking + [
        _failed(trial, f"wrong on a second draw of the inputs: {outliers_of(output)}", name)
        for name, output in trial.outputs.items()
        if not output.tolerance.passed
    ]


def _compared(trial: TrialRecord, evidence: Evidence) -> list[Finding]:
    """How time and program on the second draw differ from those of the head's trials."""
    found = []
    programs = evidence.fingerprints(trial.case)
    if len(programs) == 1 and trial.fingerprint not in programs:
        found.append(
            _failed(
                trial, "the compiled program depends on the inputs: its fingerprint differs on a second draw of them"
            )
        )
    timed = evidence.timed(trial.case)
    # Exact times are the same on every device; noisy ones are comparable on one device only.
    others = [each for each in timed if each.device == trial.device] or ([] if evidence.noisy else timed)
    if not others:
        return [*found, _errored(trial, "no trial to compare the second draw with has a time on its device")]
    if trial.wall_us is None or trial.clock is not evidence.clock:
        return [*found, _errored(trial, "the second draw of the inputs has no time")]
    usual = median([each.wall_us for each in others if each.wall_us is not None])
    allowed = ALLOWED_NOISY * usual if evidence.noisy else RESOLUTION_US
    if abs(trial.wall_us - usual) > allowed:
        message = f"{usual:.2f} µs, and {trial.wall_us:.2f} µs on a second draw of them"
        same = not programs or trial.fingerprint in programs
        if same and not evidence.noisy:  # neither is the model's
            found.append(_errored(trial, f"one program has two times on an exact clock: {message}"))
        else:
            found.append(_failed(trial, f"the time depends on the inputs: {message}"))
    return found


def _failed(trial: TrialRecord, message: str, output: str | None = None) -> Finding:
    return Finding(message=message, case=trial.case, device=trial.device, output=output, status=GateStatus.FAILED)


def _errored(trial: TrialRecord, message: str) -> Finding:
    return Finding(message=message, case=trial.case, device=trial.device, status=GateStatus.ERRORED)
