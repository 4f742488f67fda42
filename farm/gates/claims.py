"""Every output of every trial passed by the word of the harness that compared it."""

from __future__ import annotations

from farm.gates.protocol import Evidence, with_status
from farm.record import Finding, GateRecord, GateStatus
from jobs.records import ClaimRecord, TrialRecord


class ClaimGate:
    """The tolerance gate of programs that compare themselves: the farm has not seen the numbers."""

    name = "tolerance"

    def judge(self, evidence: Evidence) -> GateRecord:
        """Failed with one finding for each output that is wrong, errored where a case has no trusted trial."""
        wrong: list[Finding] = []
        absent: list[Finding] = []
        for case in evidence.cases:
            trials = evidence.trusted(case)
            if not trials:
                absent.append(Finding(message="no trial compared any output", case=case))
            for trial in trials:
                absent.extend(_missing(trial, evidence.outputs[case]))
                wrong.extend(_finding(trial, name, claim) for name, claim in trial.claims.items() if not claim.passed)
        status = GateStatus.FAILED if wrong else GateStatus.ERRORED if absent else GateStatus.PASSED
        findings = with_status(wrong, GateStatus.FAILED) + with_status(absent, GateStatus.ERRORED)
        return GateRecord(name=self.name, status=status, findings=findings)


def describe(claim: ClaimRecord) -> str:
    """One line on an output that is wrong."""
    parts = [] if claim.wrong is None else [f"{claim.wrong} of {claim.total} elements are wrong"]
    if claim.max_abs_err is not None:
        parts.append(f"largest error {claim.max_abs_err:g}")
    if claim.first:
        parts.append(f"the first: {claim.first}")
    return "; ".join(parts) or claim.detail or "wrong by the harness's word, which says no more"


def _missing(trial: TrialRecord, expected: tuple[str, ...]) -> list[Finding]:
    """Outputs that other trials of the case have."""
    return [
        Finding(
            message=f"output {name} was not compared",
            case=trial.case,
            device=trial.device,
            repeat=trial.repeat,
            output=name,
        )
        for name in expected
        if name not in trial.claims
    ]


def _finding(trial: TrialRecord, name: str, claim: ClaimRecord) -> Finding:
    return Finding(message=describe(claim), case=trial.case, device=trial.device, repeat=trial.repeat, output=name)
