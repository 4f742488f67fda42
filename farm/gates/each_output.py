"""What the gates that look at every output of every trial by itself share: which are wrong, and which are not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from farm.gates.protocol import Evidence, with_status
from farm.model.run import Finding, GateRecord, GateStatus
from jobs.records import TrialRecord


def judge(
    gate: str, evidence: Evidence, done: str, complaints: Callable[[TrialRecord], Mapping[str, str]]
) -> GateRecord:
    """Failed with one finding for each wrong output, errored where a case has no trusted trial or an output lacks.

    `complaints` gives, for every output a trial has, what is wrong with it in one line, "" where nothing is; `done` is
    what should have been done to each, in words.
    """
    wrong: list[Finding] = []
    absent: list[Finding] = []
    for case in evidence.cases:
        trials = evidence.trusted(case)
        if not trials:
            absent.append(Finding(message=f"no trial {done} any output", case=case))
        for trial in trials:
            told = complaints(trial)
            lacking = [name for name in evidence.outputs[case] if name not in told]
            absent += [_finding(trial, name, f"output {name} was not {done}") for name in lacking]
            wrong += [_finding(trial, name, what) for name, what in told.items() if what]
    status = GateStatus.FAILED if wrong else GateStatus.ERRORED if absent else GateStatus.PASSED
    findings = with_status(wrong, GateStatus.FAILED) + with_status(absent, GateStatus.ERRORED)
    return GateRecord(name=gate, status=status, findings=findings)


def _finding(trial: TrialRecord, output: str, message: str) -> Finding:
    return Finding(message=message, case=trial.case, device=trial.device, repeat=trial.repeat, output=output)
