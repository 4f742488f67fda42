"""What the gates that look at every output of every trial by itself share: which are wrong, and which are not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from farm.gates.completeness import gaps
from farm.gates.protocol import Evidence, gravest, judge_cases, with_status
from farm.model.run import Finding, GateRecord, GateStatus
from jobs.records import TrialRecord

Complaints = Callable[[TrialRecord], Mapping[str, str]]


def judge(
    gate: str, evidence: Evidence, done: str, complaints: Complaints, outputs_required: bool = True
) -> GateRecord:
    """Failed with one finding for each wrong output, errored where a case or an output is not wholly measured.

    `complaints` gives, for every output a trial has, what is wrong with it in one line, "" where nothing is; `done` is
    what should have been done to each, in words. What is wrong on a suspect device, or in another program than was
    built, does not count against the program, and does not pass either. A case without any output is errored as well,
    unless not `outputs_required`.
    """
    judged = judge_cases(gate, evidence, lambda case, whole: _judge_case(case, whole, done, complaints))
    if outputs_required and judged.status is GateStatus.PASSED:
        empty = [case for case in evidence.cases if not evidence.outputs.get(case)]
        lacking = [Finding(message="it has no output to judge", case=case, status=GateStatus.ERRORED) for case in empty]
        return GateRecord(name=gate, status=GateStatus.ERRORED, findings=lacking) if lacking else judged
    return judged


def _judge_case(case: str, evidence: Evidence, done: str, complaints: Complaints) -> tuple[GateStatus, list[Finding]]:
    wrong: list[Finding] = []
    absent = gaps(evidence, case)
    trusted = {id(trial) for trial in evidence.trusted(case)}
    names = evidence.outputs.get(case, ())
    if not trusted:
        absent.append(Finding(message=f"no trial {done} any output", case=case))
    for trial in evidence.judged(case):
        told = complaints(trial)
        absent += [_finding(trial, name, f"output {name} was not {done}") for name in names if name not in told]
        found = [_finding(trial, name, what) for name, what in told.items() if what]
        if id(trial) in trusted:
            wrong += found
        else:
            absent += [_doubted(finding) for finding in found]
    if not wrong and not absent:
        return GateStatus.PASSED, []
    findings = with_status(wrong, GateStatus.FAILED) + with_status(absent, GateStatus.ERRORED)
    return gravest(finding.status or GateStatus.ERRORED for finding in findings), findings


def _finding(trial: TrialRecord, output: str, message: str) -> Finding:
    launch = "on the first launch: " if trial.repeat < 0 else ""
    return Finding(message=launch + message, case=trial.case, device=trial.device, repeat=trial.repeat, output=output)


def _doubted(finding: Finding) -> Finding:
    return finding.model_copy(update={"message": f"{finding.message}; not held against the program, see determinism"})
