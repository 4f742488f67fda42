"""Which commit a kernel's sources are at."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from farm.source import git_environment
from farm.text import one_line

UNKNOWN = "unknown"
_GIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where sources come from."""

    commit: str  # full id, with "-dirty" where the tree differs; "unknown" where nobody can say
    because: str = ""  # why it is unknown, in words; "" where it is known


class _NoAnswerError(Exception):
    """Why git does not answer, in words."""


def provenance(path: Path) -> Provenance:
    """Return the git commit that holds `path`, or the reason why none does.

    A file that git does not track is of no commit: an installation below a checkout, such as `.venv`, is none of its.
    """
    directory = path if path.is_dir() else path.parent
    try:
        if path != directory and not _git(directory, "ls-files", "--", path.name):
            where = _git(directory, "rev-parse", "--show-toplevel")
            return Provenance(UNKNOWN, f"{path.name} is not tracked by git in {where}")
        head = _git(directory, "rev-parse", "--verify", "HEAD")
        changes = _git(directory, "status", "--porcelain", "--untracked-files=no")
    except _NoAnswerError as error:
        return Provenance(UNKNOWN, str(error))
    return Provenance(f"{head}-dirty" if changes else head)


def is_exactly_its_commit(directory: Path) -> bool:
    """Return whether the work tree at `directory` is its commit, with no file besides that git does not ignore."""
    try:
        _git(directory, "rev-parse", "--verify", "HEAD")
        return not _git(directory, "status", "--porcelain", "--untracked-files=normal")
    except _NoAnswerError:
        return False


def commit_of(path: Path) -> str:
    """Return the commit alone, see `provenance`."""
    return provenance(path).commit


def _git(directory: Path, *arguments: str) -> str:
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(directory), *arguments]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_GIT_S,
            env=git_environment.clean(),
        )
    except FileNotFoundError as error:
        raise _NoAnswerError("git is not on PATH") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _NoAnswerError(f"git does not answer: {one_line(str(error))}") from error
    if done.returncode == 0:
        return done.stdout.strip()
    said = one_line((done.stderr.strip().splitlines() or [f"git {arguments[0]} failed"])[0]).removeprefix("fatal: ")
    if "not a git repository" in said:
        raise _NoAnswerError(f"{directory} is in no git repository")
    if "Needed a single revision" in said:
        raise _NoAnswerError(f"the git repository of {directory} has no commit yet")
    raise _NoAnswerError(said)
