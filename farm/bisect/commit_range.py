"""The line of commits between a good and a bad one, and the program each of them has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from farm.errors import UsageError
from farm.model.bisect import CommitRecord
from farm.source.git_repository import Description, GitRepository, SourceError
from jobs.sandbox.commit_kernel import Origin
from jobs.sandbox.source_tree import Tree

MAX_PROGRAMS = 1000  # each is sent to every worker


@dataclass(frozen=True, slots=True)
class CommitRange:
    """Candidates in order: the good commit, then every one whose program is another than the one before it."""

    repository: Path
    commits: int  # of the whole range
    candidates: tuple[CommitRecord, ...]
    programs: Mapping[int, Tree]  # position → program; a position without one has none that can be read
    lacking: Mapping[int, str]  # position → why


@dataclass(frozen=True, slots=True)
class Sought:
    """Which commits of a range are candidates, and what is run of each."""

    below: tuple[str, ...]  # paths: commits that change none of them are no candidates; all where there is none
    program: Callable[[GitRepository, str], Tree]  # of a commit; raises `SourceError` where it has none
    what: str  # that changes, for messages

    @classmethod
    def of_kernel(cls, origin: Origin) -> Sought:
        """The program of an installed kernel."""

        def program(repository: GitRepository, commit: str) -> Tree:
            return repository.program(commit, origin.paths)

        return cls(origin.paths, program, " or ".join(origin.paths))


def read(path: Path, good: str, bad: str, sought: Sought) -> CommitRange:
    """The first-parent line from `good` to `bad`, both names of commits, in the repository at `path`.

    A merge is one step of it: what came in by it is tested as one. Raises `SourceError`, or `UsageError` where `good`
    does not come before `bad`, lies on a branch that was merged, or nothing between them changes the program.
    """
    repository = GitRepository(path)
    first, last = repository.commit(good), repository.commit(bad)
    line = _line(repository, first, last, good, bad)
    changing = set(repository.line(first, last, sought.below))
    candidates = [first, *(commit for commit in line if commit in changing)]
    if len(candidates) == 1:
        raise UsageError(f"none of the {len(line)} commits from {good} to {bad} changes {sought.what}; widen the range")
    if len(candidates) > MAX_PROGRAMS:
        raise UsageError(
            f"{len(candidates)} commits from {good} to {bad} change the program, at most {MAX_PROGRAMS} are searched; "
            "narrow the range"
        )
    programs, lacking = _programs(repository, candidates, sought)
    for end, name, typed in ((0, "GOOD", good), (len(candidates) - 1, "BAD", bad)):
        if end in lacking:
            raise UsageError(f"{name} {typed} cannot be tested: {lacking[end]}")
    described = tuple(_record(repository.describe(commit)) for commit in candidates)
    return CommitRange(repository.path, len(line), described, programs, lacking)


def _line(repository: GitRepository, first: str, last: str, good: str, bad: str) -> list[str]:
    if first == last:
        raise UsageError(f"{good} and {bad} are the same commit {first[:12]}; there is nothing between them")
    if not repository.is_ancestor(first, last):
        turned = "; it is the other way round" if repository.is_ancestor(last, first) else ""
        raise UsageError(f"{good} is no ancestor of {bad}{turned}; name an older commit of the same line as GOOD")
    line = repository.line(first, last)
    if repository.describe(line[0]).parents[0] != first:
        raise UsageError(
            f"{good} came into {bad} by a merge and is not on its first-parent line; name a commit of that line, "
            f"such as {repository.describe(line[0]).parents[0][:12]}"
        )
    return line


def _programs(repository: GitRepository, commits: list[str], sought: Sought) -> tuple[dict[int, Tree], dict[int, str]]:
    programs: dict[int, Tree] = {}
    lacking: dict[int, str] = {}
    for position, commit in enumerate(commits):
        try:
            programs[position] = sought.program(repository, commit)
        except SourceError as error:
            lacking[position] = str(error)
    return programs, lacking


def _record(found: Description) -> CommitRecord:
    return CommitRecord(
        commit=found.commit,
        subject=found.subject,
        author=found.author,
        date=found.date,
        parents=list(found.parents),
    )
