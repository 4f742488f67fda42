"""Which files a change concerns: those it changes, and those that import them, over any number of steps.

The imports are read from the sources (`ast`), nothing is run. A harness's files are scripts that import their siblings
by bare names, so a name is looked for beside the file first, then below the profile's `imports`. What cannot be
followed errs to running more: a change to a file that is not Python concerns every file, unless the profile ignores it.
"""

from __future__ import annotations

import fnmatch
import subprocess
from collections.abc import Collection, Iterable, Set
from pathlib import Path

from farm.errors import UsageError
from farm.harness.import_graph import ImportGraph
from farm.source import git_environment
from kernel.harness.profile import Profile
from kernel.harness.targets import file_of

_GIT_S = 60.0


def changed(root: Path, reference: str) -> list[str]:
    """Paths below `root` that differ between the merge base with `reference` and the work tree, untracked ones too.

    Raises `UsageError` where git does not know `reference`, or `root` is not a repository.
    """
    if reference.startswith("-"):
        raise UsageError(f"--changed-since '{reference}' is no commit")
    base = _git(root, reference, "merge-base", reference, "HEAD").strip()
    differing = _git(root, reference, "diff", "--name-only", "--no-renames", "--relative", "-z", base, "--")
    untracked = _git(root, reference, "ls-files", "--others", "--exclude-standard", "-z")
    return sorted({path for path in (differing + untracked).split("\0") if path})


def touched(files: Collection[str], changes: Iterable[str], root: Path, profile: Profile) -> tuple[set[str], str]:
    """Those of `files` that `changes` concern, and in one sentence why these."""
    relevant = [path for path in changes if not any(fnmatch.fnmatchcase(path, each) for each in profile.ignore)]
    other = [path for path in relevant if not path.endswith(".py")]
    if other:
        return set(files), f"all {len(files)} files: {other[0]} is no Python, so it may concern any"
    concerned = _importing(relevant, root, profile)
    chosen = {target for target in files if file_of(target, profile) in concerned}
    return chosen, f"{len(chosen)} of {len(files)} files are, or import, one of {len(relevant)} changed files"


def _importing(changes: Collection[str], root: Path, profile: Profile) -> Set[str]:
    """`changes` and whatever imports them; a file that cannot be read may import any."""
    below = {path.relative_to(root).as_posix(): path for path in root.rglob("*.py")}
    shown = {name: path for name, path in below.items() if not any(each.startswith(".") for each in name.split("/"))}
    graph = ImportGraph.of({name: _text(path) for name, path in shown.items()}, changes, profile.imports)
    begins = {*changes, *(graph.unreadable if changes else ())}
    return begins.union(*(graph.importing(path) for path in begins))


def _text(path: Path) -> bytes:
    """The contents of `path`; where they cannot be read, bytes that cannot be parsed."""
    try:
        return path.read_bytes()
    except OSError:
        return b"("


def _git(root: Path, reference: str, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_GIT_S,
            env=git_environment.clean(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"--changed-since {reference}: git does not answer: {error}") from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no common commit with HEAD"])[0].removeprefix("fatal: ")
        raise UsageError(f"--changed-since {reference}: {said} (in {root})")
    return done.stdout
