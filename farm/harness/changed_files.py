"""Which files a change concerns: those it changes, and those that import them, over any number of steps.

The imports are read from the sources (`ast`), nothing is run. A harness's files are scripts that import their siblings
by bare names, so a name is looked for beside the file first, then below the profile's `imports`. What cannot be
followed errs to running more: a change to a file that is not Python concerns every file, unless the profile ignores it.
"""

from __future__ import annotations

import ast
import fnmatch
import subprocess
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Set
from pathlib import Path, PurePosixPath

from farm.errors import UsageError
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
    """`changes` and whatever imports them."""
    sources = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
    }
    known = sources | set(changes)  # a deleted file is still imported by name
    importers: dict[str, set[str]] = defaultdict(set)
    unreadable = set()
    for source in sources:
        try:
            tree = ast.parse((root / source).read_bytes())
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            unreadable.add(source)
            continue
        for target in _targets(tree, PurePosixPath(source), profile):
            if target in known:
                importers[target].add(source)
    found: set[str] = set()
    waiting = [*changes, *(unreadable if changes else ())]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(importers[path])
    return found


def _targets(tree: ast.AST, source: PurePosixPath, profile: Profile) -> Iterator[str]:
    """Paths that the imports of `source` may mean; most of them do not exist."""
    places = [source.parent, *(PurePosixPath(each) for each in profile.imports)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _paths(places, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            above = [_above(source, node.level)] if node.level else places
            module = node.module.split(".") if node.module else []
            for alias in node.names:
                yield from _paths(above, [*module, alias.name])
        elif isinstance(node, ast.Call) and (name := _imported_by_call(node)):
            yield from _paths(places, name.split("."))


def _above(source: PurePosixPath, level: int) -> PurePosixPath:
    return source.parents[min(level, len(source.parents)) - 1]


def _imported_by_call(node: ast.Call) -> str:
    """The module of `importlib.import_module("…")` or `__import__("…")`; "" for any other call."""
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    first = node.args[0] if node.args else None
    if called in ("import_module", "__import__") and isinstance(first, ast.Constant) and isinstance(first.value, str):
        return first.value
    return ""


def _paths(places: Iterable[PurePosixPath], parts: list[str]) -> Iterator[str]:
    """Every file that `import a.b.c` runs or may mean: `a/__init__.py`, `a/b.py`, …"""
    for place in places:
        for end in range(len(parts) + 1):
            below = place.joinpath(*parts[:end])
            if end:
                yield f"{below}.py"
            yield (below / "__init__.py").as_posix()


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
