"""What a gate is: a pure function from the evidence of a run to one judgement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from farm.model.budgets import Budget
from farm.model.run import Finding, GateRecord, GateStatus
from jobs.records import Arm, TrialRecord, TrialStatus
from kernel.clock import Clock, is_time


@dataclass(frozen=True, slots=True)
class PlannedMeasurement:
    """One measurement that must exist, on whichever device held `slot`."""

    case: str
    slot: int
    repeat: int  # 0-based
    arm: Arm = Arm.HEAD


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a gate may look at: what was to be measured, and what was."""

    cases: tuple[str, ...]
    clock: Clock
    noisy: bool  # repeats of the same program differ in time
    trials: tuple[TrialRecord, ...]  # every attempt of `arm`
    outputs: Mapping[str, tuple[str, ...]]  # case → names of the outputs every trial must have
    planned: tuple[PlannedMeasurement, ...] = ()  # of all arms; a case of which nothing was planned passes no gate
    arm: Arm = Arm.HEAD
    warm_ups: tuple[TrialRecord, ...] = ()  # first launches: their time is dropped, their outputs count
    budgets: Mapping[str, Budget] = field(default_factory=dict)  # case → budget
    programs: Mapping[str, str] = field(default_factory=dict)  # case → fingerprint of the program that was built
    cards: Mapping[str, str] = field(default_factory=dict)  # device → its card; else each device is one of its own
    suspects: Mapping[str, frozenset[str]] = field(default_factory=dict)  # case → devices whose word does not count
    incomparable: Mapping[str, str] = field(default_factory=dict)  # case → why its outputs' bits prove nothing
    looked_again: frozenset[str] = frozenset()  # devices that repeated their trials after they lost a determinism vote
    unfit: frozenset[str] = frozenset()  # devices that failed their canary after that: their cards are at fault
    local: bool = False  # all on one device, and no other was to be had
    looks: int = 1  # how often the run may judge before it ends, each time with more samples

    def measured(self, case: str) -> list[TrialRecord]:
        """Return the trials of `case` that ran to the end, in order of device and repeat, without warm-ups."""
        return _in_order(trial for trial in self.trials if _ran(trial, case) and trial.repeat >= 0)

    def judged(self, case: str) -> list[TrialRecord]:
        """Return `measured(case)` and the warm-ups that ran to the end: every trial whose outputs count."""
        warm = [trial for trial in self.warm_ups if _ran(trial, case) and trial.arm is self.arm]
        return _in_order([*warm, *self.measured(case)])

    def trusted(self, case: str) -> list[TrialRecord]:
        """Return `judged(case)` without suspect devices and without trials of another program."""
        suspects, found = self.suspects.get(case, frozenset()), self.fingerprints(case)
        allowed = found if len(found) <= 1 else found & {self.programs.get(case, "")} - {""}
        return [
            trial
            for trial in self.judged(case)
            if trial.device not in suspects and (not found or trial.fingerprint in allowed)
        ]

    def timed(self, case: str) -> list[TrialRecord]:
        """Return the trusted trials with a time of this evidence's clock; a warm-up has none that counts."""
        return [
            trial
            for trial in self.trusted(case)
            if trial.repeat >= 0 and trial.clock is self.clock and is_time(trial.wall_us)
        ]

    def fingerprints(self, case: str) -> frozenset[str]:
        """Return the programs that were built or run for `case`; "" is one that a trial did not name, as others did."""
        ran = {trial.fingerprint for trial in self.judged(case)}
        if ran <= {""}:  # the platform does not compile for every run
            return frozenset()
        return frozenset(ran | {built for built in [self.programs.get(case, "")] if built})

    def card(self, device: str) -> str:
        """Return the physical card of `device`: two devices of one card are one witness."""
        return self.cards.get(device, device)


def _ran(trial: TrialRecord, case: str) -> bool:
    return trial.case == case and trial.status is TrialStatus.OK


def _in_order(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    return sorted(trials, key=lambda trial: (trial.device, trial.repeat, trial.attempt))


def with_status(findings: Iterable[Finding], status: GateStatus) -> list[Finding]:
    """`findings` as the ones of `status`: a gate over several cases has findings of several."""
    return [finding.model_copy(update={"status": status}) for finding in findings]


JudgeCase = Callable[[str, Evidence], tuple[GateStatus, list[Finding]]]
_BY_WEIGHT = (GateStatus.FAILED, GateStatus.ERRORED, GateStatus.INCONCLUSIVE, GateStatus.PASSED)


def gravest(statuses: Iterable[GateStatus]) -> GateStatus:
    """Return the status that counts among several; not applicable only where none of them says anything."""
    found = set(statuses)
    return next((status for status in _BY_WEIGHT if status in found), GateStatus.NOT_APPLICABLE)


def judge_cases(name: str, evidence: Evidence, judge: JudgeCase) -> GateRecord:
    """Return one judgement from one a case: the gravest counts. A run without a case is errored."""
    if not evidence.cases:
        nothing = Finding(message="the run has no case to judge", status=GateStatus.ERRORED)
        return GateRecord(name=name, status=GateStatus.ERRORED, findings=[nothing])
    findings: list[Finding] = []
    statuses: list[GateStatus] = []
    for case in evidence.cases:
        status, of_case = judge(case, evidence)
        statuses.append(status)
        findings.extend(finding if finding.status else with_status([finding], status)[0] for finding in of_case)
    return GateRecord(name=name, status=gravest(statuses), findings=findings)


class Gate(Protocol):
    """One rule of the merge gate."""

    name: str

    def judge(self, evidence: Evidence) -> GateRecord:
        """The gate's judgement with its findings. Never raises for bad evidence: no evidence is `errored`."""
        ...
