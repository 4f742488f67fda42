"""What is known of a run while it goes on, and the record that is made of it at any moment."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from farm.analysis.sweep_matrix import Fleet
from farm.execution.deadlines import RunDeadlines
from farm.execution.executor import TrialExecutor
from farm.execution.in_flight import InFlightTrials
from farm.execution.observer import Observer
from farm.execution.plan import Plan
from farm.execution.resolved_run import ResolvedRun
from farm.execution.session import Session
from farm.gates.budget import BudgetGate, budget_records, medians
from farm.gates.control import ControlGate
from farm.gates.determinism import DeterminismGate, distrusted_devices
from farm.gates.exact_time import ExactTimeGate
from farm.gates.protocol import Evidence, Gate, PlannedMeasurement
from farm.gates.regression import MissingArm, RegressionGate
from farm.gates.tolerance import ToleranceGate
from farm.leasing.device_lease import DeviceLease
from farm.model.device_health import HealthEvent, acquittals, events_of
from farm.model.program_time import ProgramTime
from farm.model.run import (
    BaseRecord,
    DeviceRecord,
    GainRecord,
    GateRecord,
    GateStatus,
    RunRecord,
    RunRequest,
    SourceRecord,
    Verdict,
)
from farm.source.kernel_identity import recorded_name
from farm.source.programs import Programs
from farm.source.provenance import Provenance, provenance
from farm.timestamps import now
from farm.validation.comparison_record import recorded
from farm.validation.resume import ReusedTrials
from jobs.records import Arm, BuildRecord, TrialRecord, TrialStatus
from kernel.platforms.protocol import Platform

_NO_CASE = "no-case"  # kind of the failure of a program that does not know a case
# Enough samples a device for a 95 % interval of its own median, and no more than a gate's patience.
MAX_REPEATS_NOISY = 12
GATES: tuple[Gate, ...] = (ToleranceGate(), DeterminismGate(), BudgetGate())


@dataclass(slots=True)
class RunState:
    """One run under way."""

    id: str
    held: Session
    directory: Path
    started_at: str
    observer: Observer
    limits: RunDeadlines
    resumed: RunRecord | None  # an interrupted run of the same request
    request: RunRequest = field(init=False)  # that of `resolved`, with what is drawn once the programs are built
    execution: TrialExecutor = field(init=False)
    plans: list[Plan] = field(default_factory=list)
    builds: list[BuildRecord] = field(default_factory=list)
    base_builds: list[BuildRecord] = field(default_factory=list)
    trials: list[TrialRecord] = field(default_factory=list)
    base_trials: list[TrialRecord] = field(default_factory=list)
    controls: list[TrialRecord] = field(default_factory=list)
    warm_ups: list[TrialRecord] = field(default_factory=list)  # of all arms, those that ran to the end
    looked_again: frozenset[str] = frozenset()
    unfit_devices: frozenset[str] = frozenset()  # odd, and failed their canary as well
    taken: ReusedTrials = field(default_factory=ReusedTrials)  # of `resumed`
    known_times: dict[str, list[ProgramTime]] = field(default_factory=dict)  # case → of the same programs, earlier
    gains: list[GainRecord] = field(default_factory=list)  # of a commit, against what its line took before
    unknown_times: str = ""  # why nobody can say what they took earlier

    def __post_init__(self) -> None:
        """Add one trial, as the dispatch loop reports it."""
        self.request = self.resolved.request
        in_flight = InFlightTrials(self.lease, self.directory, self.platform.clock, self.limits.timeouts.trial_s)
        self.execution = TrialExecutor(self.lease, in_flight, self.limits, self.observer, self.keep)

    @property
    def lease(self) -> DeviceLease:
        """The devices."""
        return self.held.lease

    @property
    def resolved(self) -> ResolvedRun:
        """What is run."""
        return self.held.resolved

    @property
    def platform(self) -> Platform:
        """What the trials run on."""
        return self.resolved.platform

    @property
    def programs(self) -> Programs | None:
        """The programs of commits; None where the installed program is run."""
        return self.resolved.programs

    def keep(self, trials: list[TrialRecord]) -> None:
        """Make `trials` durable, and what they say of their devices. A warm-up has no part in any time."""
        warm = [trial for trial in trials if trial.repeat < 0 and trial.status is TrialStatus.OK]
        self.warm_ups.extend(_without_tasks(trial).model_copy(update={"wall_us": None}) for trial in warm)
        trials = [trial for trial in trials if trial.repeat >= 0 or trial.status is not TrialStatus.OK]
        own = [trial for trial in trials if trial.arm is Arm.HEAD]
        self.trials.extend(own)  # first: an interrupt from here on still finds them in the record
        self.base_trials.extend(_without_tasks(trial) for trial in trials if trial.arm is Arm.BASE)
        self.controls.extend(_without_tasks(trial) for trial in trials if trial.arm is Arm.CONTROL)
        self.held.store.save_trials(self.id, own)
        platform = self.platform
        whose = {"claimed": self.request.source is not None, "simulated": not platform.noisy}
        told = [event for each in trials for event in events_of(each, self.id, platform.name, now(), **whose)]
        self.held.store.observe(told)

    def evidence(self) -> Evidence:
        """What the gates may look at."""
        kernel, cases = self.resolved.kernel, self.request.cases
        evidence = Evidence(
            cases=tuple(cases),
            clock=self.platform.clock,
            noisy=self.platform.noisy,
            trials=tuple(self.trials),
            outputs={case: tuple(spec.name for spec in kernel.output_specs(case)) for case in cases},
            planned=self._planned(),
            warm_ups=tuple(self.warm_ups),
            budgets=self.resolved.budgets,
            programs=_fingerprints(self.builds),
            cards=Fleet.of(self._devices()).cards,
            looked_again=self.looked_again,
            unfit=self.unfit_devices,
            local=self.request.local,
            looks=self.looks,
        )
        return replace(evidence, suspects=distrusted_devices(evidence))

    @property
    def looks(self) -> int:
        """How many rounds of repeats the run may take before it must judge; one on an exact clock."""
        return max(1, MAX_REPEATS_NOISY // self.request.repeats) if self.platform.noisy else 1

    def _planned(self) -> tuple[PlannedMeasurement, ...]:
        return tuple(
            PlannedMeasurement(trial.case, trial.slot, trial.repeat, trial.arm)
            for made in self.plans
            for trial in made.trials
            if trial.repeat >= 0
        )

    def gates(self) -> tuple[Gate, ...]:
        """The gates this run is judged by, with what they need besides the evidence."""
        gates: tuple[Gate, ...] = GATES
        if not self.platform.noisy:
            gates = (*gates, self._exact_time())
        if self.request.source is not None:
            gates = (*gates, ControlGate(tuple(self.controls)))
        regression = self.regression()
        return (*gates, regression) if regression is not None else gates

    def _exact_time(self) -> ExactTimeGate:
        return ExactTimeGate(
            tuple(self.builds),
            tuple(self.base_trials),
            tuple(self.base_builds),
            self.known_times,
            self.unknown_times,
        )

    def programs_seen(self) -> set[tuple[str, str]]:
        """(case, fingerprint) of everything that was built or run."""
        built = {(each.case, each.fingerprint) for each in (*self.builds, *self.base_builds)}
        ran = {(each.case, each.fingerprint) for each in (*self.trials, *self.base_trials)}
        return {(case, fingerprint) for case, fingerprint in built | ran if fingerprint}

    def regression(self) -> RegressionGate | None:
        """The gate against the base; None where the run has no base."""
        if self.request.source is None or not self.request.source.base:
            return None
        assert self.programs is not None
        allowed = {case: budget.slower for case, budget in self.resolved.budgets.items() if budget.slower is not None}
        missing = _missing(self.programs, self.request, self.base_builds)
        return RegressionGate(tuple(self.base_trials), allowed, missing, _fingerprints(self.base_builds))

    def shortfall(self) -> str:
        """What was planned and not measured of the head, in one sentence; "" when all was."""
        planned = sum(
            len([trial for trial in made.trials if trial.repeat >= 0 and trial.arm is Arm.HEAD]) for made in self.plans
        )
        measured = sum(trial.status is TrialStatus.OK for trial in self.trials)
        if measured == planned:
            return ""
        lost = [trial for trial in self.trials if trial.failure]
        why = f"device {lost[-1].device}: {lost[-1].failure.message}" if lost and lost[-1].failure else ""
        return f"{planned - measured} of {planned} trials were not measured; {why or 'no failure was reported'}"

    def record(self, verdict: Verdict | None, reason: str, gates: list[GateRecord]) -> RunRecord:
        """The run as it stands now."""
        evidence = self.evidence()
        platform, source = self.platform, self.request.source
        found = provenance(self.resolved.kernel.sources()[0]) if source is None else Provenance(source.commit)
        return RunRecord(
            run_id=self.id,
            verdict=verdict,
            reason=reason,
            kernel=recorded_name(self.request.kernel),
            cases=self.request.cases,
            platform=platform.name,
            clock=platform.clock,
            commit=found.commit,
            commit_unknown=found.because,
            started_at=self.started_at,
            finished_at=None if verdict is None else now(),
            request=self.request,
            toolchain=platform.toolchain(),
            devices=self._devices(),
            builds=self.builds,
            trials=self.trials,
            warm_ups=self.warm_ups,
            gates=gates,
            median_us=medians(evidence),
            budget=budget_records(evidence),
            failures=self.execution.problems,
            queue_s=self.lease.queue_s,
            run_limit_s=self.limits.timeouts.run_s,
            source=self._source(),
            base=self._base(evidence),
            resumed_from=self.resumed.run_id if self.resumed else "",
            directory=str(self.directory),
        )

    def cleared(self) -> list[HealthEvent]:
        """Devices on which the program failed by its own fault get their good name back."""
        return acquittals(self.trials, self.execution.blame.kernel, self.id, self.platform.name, now())

    def _devices(self) -> list[DeviceRecord]:
        """Every device that has a trial in this run or was held by it."""
        before = self.resumed.devices if self.resumed else []
        held = {device.id: device for device in (*before, *self.lease.held)}
        return list(held.values())

    def _source(self) -> SourceRecord | None:
        if self.programs is None or self.request.source is None:
            return None
        told = {"controls": self.controls, "gains": self.gains}
        return self.programs.record(self.request.source.commit).model_copy(update=told)

    def _base(self, evidence: Evidence) -> BaseRecord | None:
        gate = self.regression()
        if gate is None or self.programs is None or self.request.source is None:
            return None
        return BaseRecord(
            commit=self.request.source.base,
            tree=self.programs.base.address if self.programs.base else "",
            lacks=self.programs.base_lacks,
            builds=self.base_builds,
            trials=self.base_trials,
            comparison={case: recorded(each) for case, each in gate.comparisons(evidence).items()},
        )


def _without_tasks(trial: TrialRecord) -> TrialRecord:
    """Thousands of tasks a trial belong to the program under test; of the others their trace has them."""
    return trial.model_copy(update={"tasks": []})


def _fingerprints(builds: list[BuildRecord]) -> dict[str, str]:
    """Case → fingerprint of the program that was built."""
    return {build.case: build.fingerprint for build in builds if build.failure is None and build.fingerprint}


def _missing(programs: Programs, request: RunRequest, builds: list[BuildRecord]) -> dict[str, MissingArm]:
    if programs.base is None:
        why = programs.base_lacks
        return {case: MissingArm(GateStatus.NOT_APPLICABLE, why) for case in request.cases}
    missing = {}
    for build in builds:
        if build.failure is None:
            continue
        if build.failure.kind == _NO_CASE:
            missing[build.case] = MissingArm(GateStatus.NOT_APPLICABLE, "the merge base has no such case")
        else:
            why = f"the merge base could not be built: {build.failure.message}"
            missing[build.case] = MissingArm(GateStatus.ERRORED, why)
    return missing
