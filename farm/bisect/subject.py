"""What a bisect searches the commits of: an installed kernel's program, or one or several targets of a suite."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from farm import paths
from farm.bisect.commit_range import CommitRange, Sought
from farm.errors import UsageError
from farm.execution import plan
from farm.execution.resolved_run import ResolvedRun, resolve
from farm.execution.session import SessionOptions
from farm.harness import file_selection, workflows
from farm.harness.file_selection import Found
from farm.harness.profile_check import check
from farm.harness.worker import HarnessWorker
from farm.model.bisect import BisectRequest, MetricName
from farm.model.run import RunRecord, RunRequest, SourceRequest
from farm.source import suite_commits
from farm.source.git_repository import GitRepository, RefusedProgramError
from farm.source.programs import limits_within, require_installed
from farm.source.whole_commit import whole_commit
from farm.validation import suite
from farm.validation import workflow as validation
from farm.validation.suite_state import SuiteRequest
from jobs.records import TrialRequest
from jobs.sandbox.commit_kernel import Origin
from jobs.sandbox.source_tree import Tree
from jobs.sandbox.spec import ProgramConfinement, SuiteConfinement
from kernel.harness import profiles
from kernel.harness.kernel import INPUT_SET, HarnessKernel
from kernel.harness.profile import Profile, Timing
from kernel.harness.targets import file_of
from kernel.platforms.command import Command
from kernel.registry import kernel_entry


class Subject(Protocol):
    """One kind of program whose commits are searched."""

    def sought(self) -> Sought:
        """Return which commits are candidates, and what is run of each."""
        ...

    def resolve(self, line: CommitRange, options: SessionOptions) -> ResolvedRun:
        """Return what workers need to run the commits of `line`."""
        ...

    def template(self) -> TrialRequest:
        """Return the request of a trial, without its commit."""
        ...

    def targets(self, tree: Tree) -> tuple[str, ...]:
        """Return what is run of a commit, in this order. Raises `UsageError` where there is nothing to run."""
        ...

    def noisy(self, resolved: ResolvedRun) -> bool:
        """Return whether times differ from trial to trial."""
        ...

    def report(self, source: SourceRequest, repeats: int, options: SessionOptions) -> RunRecord:
        """Run the commit that was found against the last good one, on all devices."""
        ...


def subject(request: BisectRequest) -> Subject:
    """Return the subject of `request`. Raises `UsageError`, `UnknownNameError` or `ProfileError`."""
    return SuiteTargets(request) if request.suite else KernelProgram(request)


class KernelProgram:
    """The program of an installed kernel."""

    def __init__(self, request: BisectRequest) -> None:
        """Raises `UsageError` for a kernel that is not installed."""
        require_installed(request.kernel)
        self._request = request
        self._origin = Origin.of(kernel_entry(request.kernel))

    def sought(self) -> Sought:
        """Commits that change the program."""
        return Sought.of_kernel(self._origin)

    def resolve(self, line: CommitRange, options: SessionOptions) -> ResolvedRun:
        """Programs from the commits, confined."""
        limits = limits_within(options.timeouts.trial_s)
        kernel, required = self._request.kernel, self._request.require_sandbox
        confined = ProgramConfinement(kernel, self._origin, _once(line.programs.values()), required, limits)
        return replace(resolve(_run_request(self._request), factory=options.platform), confinement=confined)

    def template(self) -> TrialRequest:
        """The kernel's case."""
        return plan.make(_run_request(self._request), warm_up=False).requests[self._request.case]

    def targets(self, tree: Tree) -> tuple[str, ...]:
        """The one case."""
        return (self._request.case,)

    def noisy(self, resolved: ResolvedRun) -> bool:
        """As the platform is."""
        return resolved.platform.noisy

    def report(self, source: SourceRequest, repeats: int, options: SessionOptions) -> RunRecord:
        """As `farm run --source --base`."""
        wanted = _run_request(self._request).model_copy(update={"source": source, "repeats": repeats})
        return validation.run(validation.resolve(wanted, options), options)


class SuiteTargets:
    """One target of a suite, or those of a task or workflow."""

    def __init__(self, request: BisectRequest) -> None:
        """Raises `UsageError` or `ProfileError`."""
        self._request = request
        self._profile: Profile = profiles.find(request.suite).without_canaries()
        if request.platform not in self._profile.platforms:
            known = ", ".join(sorted(self._profile.platforms))
            raise UsageError(f"suite {self._profile.name} has no platform '{request.platform}'; its platforms: {known}")
        if request.workflow:
            workflows.tasks_of(self._profile, request.workflow)
        self._file = "" if request.workflow else file_of(request.case, self._profile)
        self._known: dict[str, bytes] = {}
        self._held_to: tuple[str, ...] | None = None  # the only targets whose times have something to be held to

    def sought(self) -> Sought:
        """Every commit: what a file imports is known to nobody who does not run it."""

        def program(repository: GitRepository, commit: str) -> Tree:
            tree = whole_commit(repository, commit, self._known)
            if self._file and self._file not in dict(tree.files):
                raise RefusedProgramError(f"commit {commit[:12]} has no {self._file}")
            return tree

        return Sought((), program, "anything")

    def resolve(self, line: CommitRange, options: SessionOptions) -> ResolvedRun:
        """The commits' files, confined."""
        profile, request = self._profile, self._request
        check(profile, request.platform, options.timeouts.trial_s)
        good, bad = line.programs[0], line.programs[len(line.candidates) - 1]
        if request.metric is MetricName.WALL:
            self._held_to = self.targets(good)
        if not request.workflow:
            self._found(bad)  # refuses what it cannot be
        cases, last = self.targets(bad), bad.unpack(paths.cache())
        confined = SuiteConfinement(profile, _once(line.programs.values()), request.require_sandbox)
        factory = functools.partial(Command, profile, request.platform, last, confined.launcher)
        return ResolvedRun(
            _run_request(request).model_copy(update={"cases": list(cases)}),
            HarnessKernel(profile, last, cases),
            factory,
            factory(),
            simulated=profile.platforms[request.platform].simulated,
            confinement=confined,
            self_validating=True,
            worker=HarnessWorker,
        )

    def template(self) -> TrialRequest:
        """The file, with the seed where the suite takes one."""
        request = self._request
        return TrialRequest(
            kernel=self._profile.name,
            case=request.case,
            platform=request.platform,
            tuning={"seed": str(request.seed), "beside": ""},
            input_set=INPUT_SET,
            seed=request.seed,
        )

    def targets(self, tree: Tree) -> tuple[str, ...]:
        """The file; of a workflow what it has in that commit. A time needs the same target in the good commit."""
        if not self._request.workflow:
            return (self._request.case,)
        found = tuple(self._found(tree).files)
        known = found if self._held_to is None else tuple(each for each in found if each in self._held_to)
        if not known:
            raise UsageError(f"none of the targets of '{self._request.workflow}' is in the good commit as well")
        return known

    def noisy(self, resolved: ResolvedRun) -> bool:
        """Unless its times are a cost model's."""
        return self._profile.platforms[self._request.platform].clock is not Timing.SIMULATED

    def report(self, source: SourceRequest, repeats: int, options: SessionOptions) -> RunRecord:
        """As `farm run --suite --source --base`, each device a witness."""
        request = self._request
        commits = suite_commits.read(source)
        root, found = commits.head.unpack(paths.cache()), self._found(commits.head)
        changes = {"source": source, "repeats": repeats, "witnesses": request.devices, "cases": list(found.files)}
        wanted = _run_request(request).model_copy(update=changes)
        selected = f"what was searched, {request.case}"
        return suite.run(SuiteRequest(self._profile, request.suite, root, found, selected, wanted, commits), options)

    def _found(self, tree: Tree) -> Found:
        """What is searched, as the commit `tree` has it. Raises `UsageError` where it cannot be searched."""
        profile, request, root = self._profile, self._request, tree.unpack(paths.cache())
        patterns = [self._file] if self._file else []
        found = file_selection.discover(root, patterns, profile, request.platform)
        found = workflows.narrowed(found, profile, request.workflow) if request.workflow else self._one(found)
        for target, head in found.files.items():
            if head.devices > 1:
                raise UsageError(f"{target} takes {head.devices} devices at once, and a bisect has one for each commit")
        return found

    def _one(self, found: Found) -> Found:
        case = self._request.case
        if case in found.skipped:
            raise UsageError(f"{case} is not for {self._request.platform}: it is {found.skipped[case]}")
        if case not in found.files:
            raise UsageError(f"{case} is no target of {self._profile.name}; its file's are: {', '.join(found.files)}")
        return found.only([case])


def _once(trees: Iterable[Tree]) -> tuple[Tree, ...]:
    return tuple({tree.address: tree for tree in trees}.values())


def _run_request(request: BisectRequest) -> RunRequest:
    return RunRequest(
        kernel=request.kernel,
        cases=[request.case],
        platform=request.platform,
        devices=request.devices,
        repeats=1,
        input_set=request.input_set,
        seed=request.seed,
        tuning=request.tuning,
    )
