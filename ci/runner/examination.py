"""What a commit is found to be before anything of it runs: whether it can be judged, by what, and what else it changes.

A target is touched by a change of a file that its run exercises: of a kernel's program, of what a suite's files import,
or of what `paths` declares. A changed file that no touched target exercises waits for an approval.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from ci.config.target import Target
from ci.queue.claims import GAIN, JobClaim
from ci.queue.job_targets import PlannedTarget
from ci.queue.options import JobOptions
from ci.runner import suite_selection
from ci.runner.git_command import RefusedCommitError
from ci.runner.git_mirror import Commits, Mirror
from farm.source.git_repository import GitRepository, RefusedProgramError
from jobs.kernel_process.description import cases_of
from jobs.sandbox.commit_kernel import Origin
from kernel.registry import kernel_entry


@dataclass(frozen=True, slots=True)
class Examination:
    """What a commit changes beside its program."""

    rules: tuple[str, ...]  # files by which the gate judges
    unexercised: tuple[str, ...]  # files that its run does not touch, documents left out
    implausible: tuple[str, ...] = ()  # gains beyond what its history makes plausible, a line each; once it has run
    new: tuple[str, ...] = ()  # files of suites that are no targets yet, so nothing but the commit says what is right

    @property
    def needs_approval(self) -> bool:
        """Whether a pass says less than a merge would need."""
        return bool(self.rules or self.unexercised or self.implausible or self.new)

    @property
    def reason(self) -> str:
        """Why an approval is needed, in one line."""
        parts = [f"{GAIN}{line}" for line in self.implausible[:1]]  # first: that is how its approval is known
        if self.rules:
            parts.append(f"changes the rules: {_first(self.rules)}")
        if self.new:
            parts.append(f"adds targets that only their own rules judge: {_first(self.new)}")
        if self.unexercised:
            parts.append(f"changes files that no run exercises: {_first(self.unexercised)}")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class TargetSelection:
    """What a job is to run."""

    targets: tuple[PlannedTarget, ...]
    found: Examination
    changes: int  # files that differ from the base

    @property
    def documents_only(self) -> bool:
        """Whether nothing is to be run because the commit changes documents alone."""
        return not self.targets and self.changes > 0 and not self.found.needs_approval


@dataclass(frozen=True, slots=True)
class _Reach:
    """What a commit's changes are to one target."""

    target: Target
    touched: bool
    exercised: frozenset[str] = frozenset()  # changed files
    ignored: frozenset[str] = frozenset()  # changed files that by the suite's profile concern nothing
    new: frozenset[str] = frozenset()
    whole: bool = True  # all of the target is to be run


async def select(mirror: Mirror, commits: Commits, claim: JobClaim) -> TargetSelection:
    """Return what the job runs, and what its commit changes beside that.

    Raises:
        RefusedCommitError: The commit cannot be judged, and that is its own doing.
        FetchError: Git did not answer.
    """
    wanted, options = claim.repository, claim.options
    asked = narrowed(wanted.judged_by(), options)
    changes = await mirror.changed(commits, ["**"])
    documents = set(await mirror.changed(commits, wanted.documents))
    rules = await mirror.changed(commits, wanted.rules_in_force())
    counted = [path for path in changes if path not in documents or path.endswith(".py")]
    there = [each for each in wanted.judged_by() if await asyncio.to_thread(_is_there, each, commits)]
    reached = [await _reach(mirror, commits, each, counted) for each in there]
    found = _examination(reached, changes, documents, rules)
    if options.targets or options.cases:
        chosen = [PlannedTarget(each) for each in asked if each in there]
    else:
        chosen = _chosen(reached, commits, changes, found)
    for plan in chosen:
        if plan.target.kernel:
            await asyncio.to_thread(require_program, plan.target.kernel, commits)
    return TargetSelection(tuple(chosen), found, len(changes))


def narrowed(targets: Sequence[Target], options: JobOptions) -> list[Target]:
    """Return those of `targets` that `options` ask for. Raises `RefusedCommitError` for an unknown name."""
    unknown = [name for name in options.targets if name not in [each.name for each in targets]]
    if unknown:
        known = ", ".join(each.name for each in targets)
        raise RefusedCommitError(f"there is no target {', '.join(unknown)}; farm.toml has: {known}")
    asked = [each for each in targets if not options.targets or each.name in options.targets]
    if not options.cases:
        return asked
    kernels = [each for each in asked if each.kernel]
    if not kernels:
        raise RefusedCommitError(f"there is no case {', '.join(options.cases)}; a suite has files, and no cases")
    if len(kernels) == 1:
        require_cases(kernels[0].kernel, options.cases)
    having = [each for each in kernels if set(options.cases) <= set(cases_of(each.kernel))]
    if not having:
        names = ", ".join(each.name for each in kernels)
        raise RefusedCommitError(f"none of {names} has all of the cases {', '.join(options.cases)}; name a --target")
    return having


def require_program(kernel: str, commits: Commits) -> str:
    """Return the path of `kernel`'s program in the commit. Raises `RefusedCommitError` where a run would refuse it."""
    paths = Origin.of(kernel_entry(kernel)).paths
    try:
        place, _ = GitRepository(commits.directory).program_listing(commits.head, paths)
    except RefusedProgramError as error:
        raise RefusedCommitError(str(error)) from error
    return place


def require_cases(kernel: str, cases: Sequence[str]) -> None:
    """Raise `RefusedCommitError` for a case that somebody asked for and `kernel` does not have."""
    known = cases_of(kernel)
    unknown = [case for case in cases if case not in known]
    if unknown:
        raise RefusedCommitError(f"{kernel} has no case {', '.join(unknown)}; it has: {', '.join(known)}")


def _chosen(
    reached: Sequence[_Reach], commits: Commits, changes: Sequence[str], found: Examination
) -> list[PlannedTarget]:
    """The targets that are touched; all of them where nothing shows what a commit touches."""
    everything = [PlannedTarget(each.target) for each in reached]
    if not commits.base or not changes:
        return everything
    touched = [PlannedTarget(each.target, changed_only=not each.whole) for each in reached if each.touched]
    return touched or (everything if found.needs_approval else [])


def _examination(
    reached: Sequence[_Reach], changes: Sequence[str], documents: set[str], rules: Sequence[str]
) -> Examination:
    apart = {*documents, *rules}
    for each in reached:
        apart |= each.exercised | each.ignored
    new = sorted({path for each in reached for path in each.new})
    return Examination(tuple(rules), tuple(path for path in changes if path not in apart), new=tuple(new))


async def _reach(mirror: Mirror, commits: Commits, target: Target, changes: Sequence[str]) -> _Reach:
    if not commits.base or not changes:
        return _Reach(target, False)
    declared = frozenset(await mirror.changed(commits, target.paths))
    if target.kernel:
        place = await asyncio.to_thread(_place, target.kernel, commits)
        own = await mirror.changed(commits, [place, f"{place}/**"]) if place else []
        return _Reach(target, bool(own or declared), declared | set(own))
    found = await suite_selection.concerned(commits, target, changes)
    return _Reach(
        target,
        touched=bool(found.targets or declared),
        exercised=declared | set(found.exercised),
        ignored=frozenset(found.ignored),
        new=frozenset(found.new),
        whole=found.whole or bool(declared),
    )


def _is_there(target: Target, commits: Commits) -> bool:
    return not target.optional or bool(_place(target.kernel, commits))


def _place(kernel: str, commits: Commits) -> str:
    """Where the commit has the kernel's program, "" where it has none."""
    repository = GitRepository(commits.directory)
    try:
        return next(
            (path for path in Origin.of(kernel_entry(kernel)).paths if repository.listing(commits.head, [path])), ""
        )
    except RefusedProgramError as error:
        raise RefusedCommitError(str(error)) from error


def _first(files: Sequence[str]) -> str:
    """The first few of `files`, shortened: a path may be thousands of characters long."""
    return ", ".join(path[:100] for path in files[:3]) + (" …" if len(files) > 3 else "")
