"""What a commit is found to be before anything of it runs: whether it can be judged, and what else it changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ci.queue.claims import GAIN
from ci.runner.git_command import RefusedCommitError
from ci.runner.git_mirror import Commits
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

    @property
    def needs_approval(self) -> bool:
        """Whether a pass says less than a merge would need."""
        return bool(self.rules or self.unexercised or self.implausible)

    @property
    def reason(self) -> str:
        """Why an approval is needed, in one line."""
        parts = [f"{GAIN}{line}" for line in self.implausible[:1]]  # first: that is how its approval is known
        if self.rules:
            parts.append(f"changes the rules: {_first(self.rules)}")
        if self.unexercised:
            parts.append(f"changes files that no run exercises: {_first(self.unexercised)}")
        return "; ".join(parts)


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


def _first(files: Sequence[str]) -> str:
    """The first few of `files`, shortened: a path may be thousands of characters long."""
    return ", ".join(path[:100] for path in files[:3]) + (" …" if len(files) > 3 else "")
