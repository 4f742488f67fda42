"""All files of a commit, as one tree: what a suite's files import and build is anywhere in their repository.

Nothing of it is run or imported here. Symbolic links are kept where they stay within the tree; submodules are not
fetched, and their directories are not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from farm.source.git_repository import GitRepository, RefusedProgramError, TreeEntry
from jobs.sandbox.source_tree import Tree

MAX_FILES = 50_000
MAX_FILE_BYTES = 64 << 20
MAX_BYTES = 256 << 20  # the tree goes to every worker
BATCH_BYTES = 64 << 20  # asked of git at once
_MAX_LINK_BYTES = 4096
_LINK, _SUBMODULE, _EXECUTABLE, _REGULAR = "120000", "160000", "100755", "100644"


def whole_commit(repository: GitRepository, commit: str, known: dict[str, bytes] | None = None) -> Tree:
    """Return the tree of `commit`.

    `known` holds contents by git's name of them: commits that share it share what they have in common, in memory and on
    their way to workers. Raises `RefusedProgramError` where the commit has an odd path, a link out of the tree or too
    much in it, and `SourceError`.
    """
    entries = [entry for entry in repository.listing(commit) if entry.mode != _SUBMODULE]
    for entry in entries:
        _require_plain(entry, commit)
    _require_bounded(entries, commit)
    links = {entry.path for entry in entries if entry.mode == _LINK}
    known = {} if known is None else known
    for batch in _batches([entry for entry in entries if entry.digest not in known]):
        known |= dict(zip((entry.digest for entry in batch), dict(repository.contents(batch)).values(), strict=True))
    found = {entry.path: known[entry.digest] for entry in entries}
    held = {path: _within(path, contents, commit) for path, contents in found.items() if path in links}
    files = {path: contents for path, contents in found.items() if path not in links}
    if not files:
        raise RefusedProgramError(f"commit {commit[:12]} has no files")
    return Tree.of(".", files, [entry.path for entry in entries if entry.mode == _EXECUTABLE], held)


def changed_paths(head: Tree, base: Tree) -> list[str]:
    """Return the paths at which two trees differ, in order."""
    ours, theirs = dict(head.files), dict(base.files)
    differing = {path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path)}
    linked = {path for path, _ in set(head.links) ^ set(base.links)}
    return sorted(differing | linked | (head.executable ^ base.executable))


def _require_plain(entry: TreeEntry, commit: str) -> None:
    where = f"{entry.path!r} in commit {commit[:12]}"
    if entry.mode not in (_REGULAR, _EXECUTABLE, _LINK):
        raise RefusedProgramError(f"{where} has mode {entry.mode}, which is no file")
    parts = PurePosixPath(entry.path).parts
    odd = entry.path.startswith("/") or "\\" in entry.path or any(part in ("..", ".") for part in parts)
    hidden = any(part.lower() in (".git", "git~1") for part in parts)
    if odd or hidden or not entry.path.isprintable():
        raise RefusedProgramError(f"{where} is no path for a file; rename it")


def _require_bounded(entries: Sequence[TreeEntry], commit: str) -> None:
    if len(entries) > MAX_FILES:
        raise RefusedProgramError(f"commit {commit[:12]} has {len(entries)} files; a suite has at most {MAX_FILES}")
    for entry in entries:
        most = _MAX_LINK_BYTES if entry.mode == _LINK else MAX_FILE_BYTES
        if entry.size > most:
            said = f"{entry.path} in commit {commit[:12]} is {_mb(entry.size)}"
            raise RefusedProgramError(f"{said}; a file of a suite has at most {_mb(most)}")
    total = sum(entry.size for entry in entries)
    if total > MAX_BYTES:
        raise RefusedProgramError(f"commit {commit[:12]} is {_mb(total)}; a suite has at most {_mb(MAX_BYTES)}")


def _batches(entries: Sequence[TreeEntry]) -> Iterator[list[TreeEntry]]:
    batch: list[TreeEntry] = []
    size = 0
    for entry in entries:
        if batch and size + entry.size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry.size
    if batch:
        yield batch


def _within(path: str, contents: bytes, commit: str) -> str:
    """What the link at `path` holds. Raises `RefusedProgramError` where that leads out of the tree."""
    held = contents.decode(errors="surrogateescape")
    depth = len(PurePosixPath(path).parts) - 1
    for part in PurePosixPath(held).parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            break
    if not held or not held.isprintable() or held.startswith("/") or depth < 0:
        said = f"{path!r} in commit {commit[:12]} is a symbolic link to {held!r}"
        raise RefusedProgramError(f"{said}, which is not in the repository; put a file there")
    return held


def _mb(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
