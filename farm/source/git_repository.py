"""A kernel's program as a git commit has it, read without ever checking the commit out.

A checkout runs what a repository brings along: hooks, filters, attributes, submodules. Here git only lists and prints
objects (`ls-tree`, `cat-file --batch`), so nothing of the repository is executed, and what comes out is bytes by path,
bounded in number and size. A symbolic link or a submodule below the program is refused.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from farm.errors import UsageError
from jobs.sandbox.source_tree import Tree

MAX_FILES = 2_000
MAX_FILE_BYTES = 8 << 20
MAX_BYTES = 64 << 20
_LISTING_TIMEOUT_S = 60.0
_MAX_LISTED = 200_000  # entries of a whole commit
MAX_OUTPUT_BYTES = 128 << 20  # of git; a tree whose entries repeat each other lists as terabytes
_MAX_COMPLAINT_BYTES = 64 << 10
_REGULAR = ("100644", "100755")


class SourceError(UsageError):
    """A commit's program cannot be had: no repository, no such commit, or something in it that is refused."""


class RefusedProgramError(SourceError):
    """The commit has no program that can be judged, and says so by its own tree: another commit helps, a retry not."""


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One entry of a commit's tree."""

    path: str  # from the top of the repository
    mode: str  # "100644", "120000" (symbolic link), "160000" (submodule), …
    digest: str  # git's name of the object
    size: int  # bytes; 0 for what is no file


@dataclass(frozen=True, slots=True)
class Description:
    """What a person knows a commit by. Author and subject are whatever the committer typed."""

    commit: str  # full id
    subject: str  # first line of its message
    author: str
    date: str  # ISO 8601
    parents: tuple[str, ...]  # full ids; more than one for a merge


class GitRepository:
    """A local git repository, bare or with a work tree, whose objects are already there."""

    def __init__(self, path: Path) -> None:
        """Raises `SourceError` where `path` is not a git repository, or one git refuses to read."""
        self.path = path.resolve()
        if not path.is_dir():
            raise SourceError(f"--source {path} is no directory; name a local git repository")
        self._git("rev-parse", "--git-dir", refused=f"--source {path} is no git repository")

    def commit(self, name: str) -> str:
        """The full id of the commit `name` (an id, a branch, a tag). Raises `SourceError`."""
        refused = f"there is no commit '{name}' in {self.path}; fetch it first, or correct --commit or --base"
        if not name or name.startswith("-") or any(character.isspace() for character in name):
            raise SourceError(refused)
        return self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", refused=refused)

    def merge_base(self, head: str, base: str) -> str:
        """The best common ancestor of two commits. Raises `SourceError` where they have none."""
        refused = f"{head[:12]} and {base[:12]} have no common ancestor in {self.path}; fetch more history"
        return self._git("merge-base", head, base, refused=refused).splitlines()[0]

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether the history of the commit `newer` holds `older`. Both are full ids."""
        found = self._git("rev-list", "--max-count=1", older, f"^{newer}", refused=f"{older[:12]} cannot be looked up")
        return found == ""

    def line(self, older: str, newer: str, below: Sequence[str] = ()) -> list[str]:
        """Commits after `older` up to `newer` along first parents, oldest first; of those, all that change `below`."""
        refused = f"the commits from {older[:12]} to {newer[:12]} cannot be listed in {self.path}"
        told = self._git("rev-list", "--first-parent", "--reverse", newer, f"^{older}", "--", *below, refused=refused)
        return told.split()

    def main_line(self, newest: str, most: int) -> list[str]:
        """The last `most` commits up to and with `newest` along first parents, oldest first."""
        refused = f"the commits up to {newest[:12]} cannot be listed in {self.path}"
        told = self._git("rev-list", "--first-parent", f"--max-count={most}", newest, refused=refused)
        return told.split()[::-1]

    def describe(self, commit: str) -> Description:
        """What a person knows the commit by."""
        told = self._git("show", "--no-patch", "--format=%P%x00%an%x00%aI%x00%s", commit, refused=f"no {commit[:12]}")
        parents, author, date, subject = told.split("\0")
        return Description(commit, subject, author, date, tuple(parents.split()))

    def differs(self) -> bool:
        """Whether the work tree has changes that no commit has; False for a bare repository."""
        if self._git("rev-parse", "--is-inside-work-tree", refused="") != "true":
            return False
        return self._git("status", "--porcelain", "--untracked-files=no", refused="") != ""

    def listing(self, commit: str, below: Iterable[str] = ()) -> list[TreeEntry]:
        """Every entry of `commit`, or those at and below the paths `below`."""
        told = self._run(["ls-tree", "-r", "-z", "-l", "--full-tree", commit, "--", *below], _LISTING_TIMEOUT_S).decode(
            errors="surrogateescape"
        )
        lines = [line for line in told.split("\0") if line]
        if len(lines) > _MAX_LISTED:
            raise RefusedProgramError(f"commit {commit[:12]} has {len(lines)} entries; at most {_MAX_LISTED} are read")
        return [_entry(line) for line in lines]

    def program(self, commit: str, places: Sequence[str]) -> Tree:
        """The files at the first of `places` that `commit` has: a directory, or one Python file.

        Raises `RefusedProgramError` where it has none, or one with links, submodules, odd paths, or too much in it.
        """
        place, entries = self.program_listing(commit, places)
        return Tree.of(place, dict(self.contents(entries)))

    def program_listing(self, commit: str, places: Sequence[str]) -> tuple[str, list[TreeEntry]]:
        """The first of `places` that `commit` has, and its files, without reading one. Raises as `program` does."""
        for place in places:
            entries = self.listing(commit, [place])
            if entries:
                checked = [_checked(entry, commit) for entry in entries]
                _bounded(checked, commit, place)
                return place, checked
        sought = " or ".join(places)
        raise RefusedProgramError(f"commit {commit[:12]} has no {sought}, where the kernel's program would be")

    def contents(self, entries: Sequence[TreeEntry]) -> Iterator[tuple[str, bytes]]:
        """Path and contents of each of `entries`. Raises `SourceError` where an object is not what its entry says."""
        asked = "".join(f"{entry.digest}\n" for entry in entries).encode()
        told = memoryview(self._run(["cat-file", "--batch"], _LISTING_TIMEOUT_S, asked))
        at = 0
        for entry in entries:
            header_end = bytes(told[at : at + 200]).index(b"\n") + at
            _, kind, size = bytes(told[at:header_end]).split()
            if kind != b"blob" or int(size) != entry.size:
                raise SourceError(
                    f"object {entry.digest[:12]} of {entry.path} is not what the commit says; run git fsck"
                )
            begin = header_end + 1
            yield entry.path, bytes(told[begin : begin + entry.size])
            at = begin + entry.size + 1

    def _git(self, *arguments: str, refused: str) -> str:
        try:
            return self._run(list(arguments), _LISTING_TIMEOUT_S).decode(errors="replace").strip()
        except SourceError as error:
            raise SourceError(f"{refused}: {error}" if _is_telling(str(error)) else refused) from error

    def _run(self, arguments: list[str], timeout_s: float, given: bytes = b"") -> bytes:
        command = ["git", "--no-replace-objects", "-c", "core.fsmonitor=false", "-C", str(self.path), *arguments]
        with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as complaint:
            asked.write(given)
            asked.seek(0)
            try:
                process = subprocess.Popen(
                    command, stdin=asked, stdout=subprocess.PIPE, stderr=complaint, env=_environment()
                )
            except FileNotFoundError as error:
                raise SourceError("git is not on PATH, and --source needs it; apt-get install git") from error
            output = self._output(process, arguments[0], timeout_s)
            if process.returncode != 0:
                complaint.seek(0)
                lines = complaint.read(_MAX_COMPLAINT_BYTES).decode(errors="replace").strip().splitlines()
                raise SourceError(lines[0].removeprefix("fatal: ") if lines else f"git {arguments[0]} failed")
        return output

    def _output(self, process: subprocess.Popen[bytes], word: str, timeout_s: float) -> bytes:
        """What a git prints until it ends, which it does in time or is made to."""
        assert process.stdout is not None, "opened as a pipe"
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        watch = threading.Timer(timeout_s, end)
        watch.start()
        try:
            output = process.stdout.read(MAX_OUTPUT_BYTES + 1)
            if len(output) > MAX_OUTPUT_BYTES:
                raise RefusedProgramError(f"git {word} lists more than {_mb(MAX_OUTPUT_BYTES)}; the tree is too large")
            process.wait()
        finally:
            watch.cancel()
            process.kill()
            process.stdout.close()
            process.wait()
        if late.is_set():
            raise SourceError(f"git {word} in {self.path} took longer than {timeout_s:g} s")
        return output


def _environment() -> dict[str, str]:
    """Of git: no configuration but the repository's own, no prompt, no fetching of what is not there."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {
        **inherited,
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "",
    }


def _is_telling(message: str) -> bool:
    """Whether git's own line says more than that something was not found: ownership, a damaged object."""
    return any(word in message for word in ("dubious ownership", "bad object", "corrupt", "PATH"))


def _entry(line: str) -> TreeEntry:
    head, _, path = line.partition("\t")
    mode, _, digest, size = head.split()
    return TreeEntry(path, mode, digest, 0 if size == "-" else int(size))


def _checked(entry: TreeEntry, commit: str) -> TreeEntry:
    where = f"{entry.path!r} in commit {commit[:12]}"
    if entry.mode == "120000":
        raise RefusedProgramError(f"{where} is a symbolic link; a program is read without links, put a file there")
    if entry.mode == "160000":
        raise RefusedProgramError(f"{where} is a submodule; a program is read without submodules, put its files there")
    if entry.mode not in _REGULAR:
        raise RefusedProgramError(f"{where} has mode {entry.mode}, which is no regular file")
    parts = PurePosixPath(entry.path).parts
    odd = entry.path.startswith("/") or "\\" in entry.path or any(part in ("..", ".") for part in parts)
    hidden = any(part.lower() in (".git", "git~1") for part in parts)
    if odd or hidden or not entry.path.isprintable():
        raise RefusedProgramError(f"{where} is no path for a file; rename it")
    return entry


def _bounded(entries: list[TreeEntry], commit: str, place: str) -> None:
    where = f"{place} in commit {commit[:12]}"
    if len(entries) > MAX_FILES:
        raise RefusedProgramError(f"{where} has {len(entries)} files; a program has at most {MAX_FILES}")
    for entry in entries:
        if entry.size > MAX_FILE_BYTES:
            raise RefusedProgramError(
                f"{entry.path} in commit {commit[:12]} is {_mb(entry.size)}; a file has at most {_mb(MAX_FILE_BYTES)}"
            )
    total = sum(entry.size for entry in entries)
    if total > MAX_BYTES:
        raise RefusedProgramError(f"{where} is {_mb(total)}; a program has at most {_mb(MAX_BYTES)}")


def _mb(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
