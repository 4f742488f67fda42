"""Which files of a repository judge a kernel rather than being judged, and which of them a commit has otherwise.

The rules in force are always the installation's. A commit that brings others is judged by the installed ones all the
same; that it brings others is shown, because merging it changes how the next commit is judged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

import kernel as kernel_layer
from farm.source.git_repository import GitRepository, TreeEntry
from jobs.sandbox.commit_kernel import INSTALLED, Origin
from kernel.spec import Kernel

# Of the farm's own repository: everything but documents, tests and the kernels' packages.
HARNESS = (
    # `kernel/*.py` would reach into the kernels' packages as well.
    *(f"kernel/{module.name}" for module in sorted(Path(kernel_layer.__file__).parent.glob("*.py"))),
    *("kernel/platforms/*", "jobs/*", "farm/*", "ci/*"),
    *("pyproject.toml", "constraints/*", ".ci/*", ".github/*"),
)
# Of a kernel, unless it names its own: what its operator is, is drawn from and is held to.
KERNEL = ("golden.py", "inputs.py", "shapes.py", "tolerances.*", "budgets.*", "*budgets.toml")


def patterns(kernel: Kernel, origin: Origin, place: str) -> tuple[str, ...]:
    """Patterns (as `fnmatch` has them, `*` crosses `/`) of the rules of a kernel whose program is at `place`."""
    inside = place if not place.endswith(".py") else str(Path(place).parent)
    top = "" if inside in (".", "") else f"{inside}/"
    own: Iterable[str] = getattr(kernel, "rules", KERNEL)
    # A whole top-level package is the program of a kernel from elsewhere: its rules may lie anywhere in it.
    deep = "" if origin.module.partition(".")[0] in INSTALLED else "*"
    budget = kernel.budgets().name
    return (*HARNESS, *(f"{top}{deep}{name}" for name in (*own, budget)))


def changed_between(repository: GitRepository, base: str, head: str, rules: tuple[str, ...]) -> list[str]:
    """Paths among `rules` that differ between two commits, sorted."""
    before, after = _objects(repository.listing(base), rules), _objects(repository.listing(head), rules)
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def changed_from_installed(
    repository: GitRepository, commit: str, rules: tuple[str, ...], installation: Path, source_root: str = ""
) -> list[str]:
    """Paths among `rules` that are installed below `installation` and that `commit` has otherwise, sorted.

    A path that the commit lacks or that is not installed says nothing: an installation need not be a whole checkout.
    `source_root` is the directory of the repository that is installed, such as "src".
    """
    found = []
    for path, digest in _objects(repository.listing(commit), rules).items():
        installed = installation / path.removeprefix(f"{source_root}/" if source_root else "")
        if installed.is_file() and git_digest(installed.read_bytes(), len(digest)) != digest:
            found.append(path)
    return sorted(found)


def git_digest(contents: bytes, characters: int) -> str:
    """The name git gives a file of `contents`: SHA-1 (40 characters) or SHA-256 (64)."""
    algorithm = hashlib.sha1 if characters == 40 else hashlib.sha256
    return algorithm(b"blob %d\0" % len(contents) + contents).hexdigest()


def _objects(entries: Iterable[TreeEntry], rules: tuple[str, ...]) -> dict[str, str]:
    return {entry.path: entry.digest for entry in entries if any(_is_of(entry.path, pattern) for pattern in rules)}


def _is_of(path: str, pattern: str) -> bool:
    """Whether `pattern` names `path`; "DIRECTORY/*.py" is of that directory alone, whose packages hold programs."""
    deeper = pattern.endswith("/*.py") and path.count("/") != pattern.count("/")
    return not deeper and fnmatchcase(path, pattern)
