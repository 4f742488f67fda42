"""What is known of a run of a suite's files while it goes on, and the record that is made of it at any moment."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from farm.analysis.sweep_matrix import Fleet
from farm.execution.deadlines import RunDeadlines
from farm.execution.in_flight import InFlightTrials
from farm.execution.observer import Observer
from farm.execution.session import Session
from farm.gates.budget import budget_records, medians
from farm.gates.protocol import Evidence, PlannedMeasurement
from farm.gates.regression import RegressionGate
from farm.harness import gates as judging
from farm.harness.executor import HarnessExecutor
from farm.harness.file_selection import Found
from farm.harness.preparation import records_of_trials
from farm.harness.turns import Witnesses
from farm.model.device_health import HealthEvent, acquittals, events_of
from farm.model.run import (
    BaseRecord,
    DeviceRecord,
    FileRecord,
    GateRecord,
    HarnessRecord,
    RunRecord,
    RunRequest,
    SetupRecord,
    Verdict,
)
from farm.source.provenance import Provenance, is_exactly_its_commit, provenance
from farm.source.suite_commits import SuiteCommits
from farm.timestamps import now
from farm.validation import suite_base
from farm.validation.comparison_record import recorded
from farm.validation.suite_base import trials_of_base
from jobs.records import Arm, TrialRecord, TrialRequest
from kernel.harness.kernel import INPUT_SET
from kernel.harness.profile import Profile, Timing
from kernel.harness.targets import file_of
from kernel.platforms.command import Command


@dataclass(frozen=True, slots=True)
class SuiteRequest:
    """What was asked for."""

    profile: Profile
    profile_source: str  # a shipped profile's name, or the absolute path of a file
    root: Path  # of the repository, absolute
    found: Found
    selected: str  # how the files were chosen
    request: RunRequest  # its cases are the files
    commits: SuiteCommits | None = None  # whose files are run, confined; None for those at `root` as they are


def digest(profile: Profile) -> str:
    """Return the SHA-256 of everything a profile says."""
    return hashlib.sha256(profile.model_dump_json().encode()).hexdigest()


@dataclass(slots=True)
class SuiteRun:
    """One run of a suite under way."""

    id: str
    asked: SuiteRequest
    held: Session
    directory: Path
    observer: Observer
    limits: RunDeadlines
    resumed: RunRecord | None  # an interrupted run of the same files
    started_at: str = field(default_factory=now)
    planned: list[PlannedMeasurement] = field(default_factory=list)
    trials: list[TrialRecord] = field(default_factory=list)
    base_trials: list[TrialRecord] = field(default_factory=list)
    files: list[FileRecord] = field(default_factory=list)  # once judged
    looked_again: frozenset[str] = frozenset()
    setup: list[SetupRecord] = field(default_factory=list)  # what was made before the devices were leased
    base_toolchain: Mapping[str, str] = field(default_factory=dict)  # of the merge base, where its set-up makes it
    executor: HarnessExecutor = field(init=False)
    exact: bool = field(init=False)  # the repository is its commit and nothing else

    def __post_init__(self) -> None:
        """Plan every file, and have the executor tell this run of every trial."""
        asked, request, lease = self.asked, self.asked.request, self.held.lease
        self.exact = asked.commits is not None or is_exactly_its_commit(asked.root)
        witnesses = Witnesses(request.witnesses, request.repeats)
        based = trials_of_base(asked.found, asked.commits, asked.profile, witnesses.trials, self.timing)
        self.planned = judging.once_planned(asked.found, witnesses.trials, based)
        self.executor = HarnessExecutor(
            lease=lease,
            in_flight=InFlightTrials(lease, self.directory, self.platform.clock, self._longest_trial_s),
            limits=self.limits,
            observer=self.observer,
            template=TrialRequest(
                kernel=request.kernel, case="", platform=request.platform, input_set=INPUT_SET, seed=request.seed
            ),
            heads=asked.found.files,
            repeats=witnesses.trials,
            witnesses=witnesses,
            trees=_trees(asked.commits),
            based=based,
            freezes=frozenset(self._frozen()),
            data=self.directory / "data",
            save=self.keep,
        )

    @property
    def platform(self) -> Command:
        """What runs the files."""
        platform = self.held.resolved.platform
        assert isinstance(platform, Command)
        return platform

    @property
    def _longest_trial_s(self) -> float:
        """The first trial on a machine may have to set the repository up, which ends within limits of its own."""
        return self.limits.timeouts.trial_s + self.asked.profile.set_up_s

    @property
    def timing(self) -> Timing:
        """What the suite's times are on this platform."""
        return self.asked.profile.platforms[self.platform.name].clock

    def _frozen(self) -> list[str]:
        """Files whose first trial keeps its operands for the others."""
        data = self.asked.profile.data
        if data.seeded or not data.has_bits or self.asked.request.trials_a_case < 2:
            return []
        return [file for file, head in self.asked.found.files.items() if head.replays or data.frozen_by_wrapper]

    def keep(self, trial: TrialRecord) -> None:
        """Make `trial` durable, and what it says of its device; several devices cannot be distinguished."""
        if trial.arm is Arm.BASE:
            self.base_trials.append(trial.model_copy(update={"tasks": []}))
        else:
            self.trials.append(trial)
            self.held.store.save_trials(self.id, [trial])
        if not trial.beside:
            whose = {"claimed": True, "simulated": not self.platform.noisy}  # nobody has installed its programs
            self.held.store.observe(events_of(trial, self.id, self.platform.name, now(), **whose))

    def evidence(self) -> Evidence:
        """What the gates may look at."""
        profile = self.asked.profile
        ceilings = profile.budgets.get(self.platform.name, {})
        return judging.evidence(
            self.asked.found,
            profile.data,
            self.trials,
            self.platform.clock,
            ceilings,
            self.planned,
            Fleet.of(self._devices()).cards,
            self.looked_again,
        )

    @property
    def next_repeat(self) -> int:
        """The number of the first repeat that is not planned yet."""
        return 1 + max(each.repeat for each in self.planned)

    def regression(self, evidence: Evidence) -> RegressionGate | None:
        """The gate against the merge base; None without one, and where times are the host's."""
        if self.asked.commits is None or self.asked.commits.base is None or self.timing is Timing.HOST:
            return None
        work = self.executor
        return suite_base.regression(evidence, self.base_trials, work.based, work.blames, work.base_blames)

    def cleared(self) -> list[HealthEvent]:
        """Devices on which a file failed by its own fault get their good name back."""
        cleared = []
        for file, blame in self.executor.blames.items():
            own = [trial for trial in self.trials if trial.case == file and not trial.beside]
            cleared += acquittals(own, blame.kernel, self.id, self.platform.name, now())
        return cleared

    def record(self, verdict: Verdict | None, reason: str, gates: list[GateRecord]) -> RunRecord:
        """The run as it stands now."""
        asked, request, evidence = self.asked, self.asked.request, self.evidence()
        commits = asked.commits
        source = provenance(asked.root) if commits is None else Provenance(commits.request.commit)
        return RunRecord(
            run_id=self.id,
            verdict=verdict,
            reason=reason,
            kernel=request.kernel,
            cases=request.cases,
            platform=request.platform,
            clock=self.platform.clock,
            commit=source.commit,
            commit_unknown=source.because,
            started_at=self.started_at,
            finished_at=None if verdict is None else now(),
            request=request,
            toolchain=self.platform.toolchain(),
            devices=self._devices(),
            builds=[],
            trials=self.trials,
            gates=gates,
            median_us={file: median for file, median in medians(evidence).items() if median.samples},
            budget=budget_records(evidence),
            failures=self.executor.problems,
            queue_s=self.held.lease.queue_s,
            run_limit_s=self.limits.timeouts.run_s,
            source=None if commits is None else commits.record(asked.profile, self._files()),
            base=self._base(evidence),
            resumed_from=self.resumed.run_id if self.resumed else "",
            harness=HarnessRecord(
                profile=asked.profile.name,
                profile_source=asked.profile_source,
                profile_sha256=digest(asked.profile),
                root=str(asked.root) if commits is None else commits.request.repository,
                exact=self.exact,
                command=asked.profile.command,
                seeded=asked.profile.data.seeded,
                timing=self.timing.value,
                selected=asked.selected,
                setup=[*self.setup, *(records_of_trials(self.directory) if asked.profile.setup else [])],
                files=self.files,
            ),
            directory=str(self.directory),
        )

    def _files(self) -> set[str]:
        return {file_of(target, self.asked.profile) for target in self.asked.found.files}

    def _base(self, evidence: Evidence) -> BaseRecord | None:
        commits = self.asked.commits
        if commits is None or not commits.request.base:
            return None
        gate = self.regression(evidence)
        exact = replace(evidence, noisy=self.timing is not Timing.SIMULATED)
        compared = {} if gate is None else gate.comparisons(exact)
        return BaseRecord(
            commit=commits.request.base,
            tree=commits.base.address if commits.base else "",
            lacks=commits.base_lacks,
            toolchain=dict(self.base_toolchain),
            trials=self.base_trials,
            comparison={case: recorded(each) for case, each in compared.items()},
        )

    def _devices(self) -> list[DeviceRecord]:
        """Every device that has a trial in this run or was held by it."""
        before = self.resumed.devices if self.resumed else []
        return list({device.id: device for device in (*before, *self.held.lease.held)}.values())


def _trees(commits: SuiteCommits | None) -> dict[Arm, str]:
    if commits is None:
        return {}
    trees = {Arm.HEAD: commits.head.address}
    return trees if commits.base is None else {**trees, Arm.BASE: commits.base.address}
