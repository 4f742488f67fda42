"""What a gate is: a pure function from the evidence of a run to one judgement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from farm.model.budgets import Budget
from farm.model.run import Finding, GateRecord, GateStatus
from jobs.records import TrialRecord, TrialStatus
from kernel.clock import Clock


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a gate may look at."""

    cases: tuple[str, ...]
    clock: Clock
    noisy: bool  # repeats of the same program differ in time
    trials: tuple[TrialRecord, ...]  # every attempt
    outputs: Mapping[str, tuple[str, ...]]  # case → names of the outputs every trial must have
    budgets: Mapping[str, Budget] = field(default_factory=dict)  # case → budget
    suspects: frozenset[str] = frozenset()  # devices whose word does not count against the kernel
    incomparable: Mapping[str, str] = field(default_factory=dict)  # case → why its outputs' bits prove nothing
    looked_again: frozenset[str] = frozenset()  # devices that repeated their trials after they lost a determinism vote

    def measured(self, case: str) -> list[TrialRecord]:
        """The trials of `case` that ran to the end, in order of device and repeat."""
        ok = [trial for trial in self.trials if trial.case == case and trial.status is TrialStatus.OK]
        return sorted(ok, key=lambda trial: (trial.device, trial.repeat, trial.attempt))

    def trusted(self, case: str) -> list[TrialRecord]:
        """`measured(case)` without the suspect devices."""
        return [trial for trial in self.measured(case) if trial.device not in self.suspects]


def with_status(findings: Iterable[Finding], status: GateStatus) -> list[Finding]:
    """`findings` as the ones of `status`: a gate over several cases has findings of several."""
    return [finding.model_copy(update={"status": status}) for finding in findings]


JudgeCase = Callable[[str, Evidence], tuple[GateStatus, list[Finding]]]
_BY_WEIGHT = (GateStatus.FAILED, GateStatus.ERRORED, GateStatus.INCONCLUSIVE, GateStatus.PASSED)


def judge_cases(name: str, evidence: Evidence, judge: JudgeCase) -> GateRecord:
    """One judgement from one a case: the gravest counts; not applicable only where no case has anything to say."""
    findings: list[Finding] = []
    statuses: set[GateStatus] = set()
    for case in evidence.cases:
        status, of_case = judge(case, evidence)
        statuses.add(status)
        findings.extend(finding if finding.status else with_status([finding], status)[0] for finding in of_case)
    gravest = next((status for status in _BY_WEIGHT if status in statuses), GateStatus.NOT_APPLICABLE)
    return GateRecord(name=name, status=gravest, findings=findings)


class Gate(Protocol):
    """One rule of the merge gate."""

    name: str

    def judge(self, evidence: Evidence) -> GateRecord:
        """The gate's judgement with its findings. Never raises for bad evidence: no evidence is `errored`."""
        ...
