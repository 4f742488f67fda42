"""Commits of a repository on this machine: a bare mirror, into which exactly what a job needs is fetched.

What comes in is hostile. Nothing of it is checked out here, so no hook, filter, submodule or attribute is acted on, and
nothing of it is read without a limit (`ci.runner.git_command`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ci.runner.git_command import (
    FetchError,
    FetchLimits,
    Git,
    MalformedObjectsError,
    RefusedCommitError,
    Remote,
    TooLargeError,
    TooMuchOutputError,
)
from farm.errors import UsageError

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MISSING = ("not our ref", "unadvertised object", "couldn't find remote ref", "could not find remote ref")
MOST_NAMES_BYTES = 32 << 20  # of all files of a commit
_MOST_TEXT_BYTES = 256 << 10  # of one file that is searched for lines to annotate


class CommitMissingError(UsageError):
    """The repository has no such commit; asking again does not help."""


@dataclass(frozen=True, slots=True)
class Commits:
    """What a job works on."""

    directory: Path  # the mirror, a bare git repository
    head: str
    base: str  # the merge base; "" where there is nothing to compare with


class Mirror:
    """One repository's mirror. All calls of `bring` must come from one event loop."""

    def __init__(self, directory: Path, limits: FetchLimits) -> None:
        self._directory = directory
        self._git = Git(directory, limits).run
        self._lock = asyncio.Lock()

    async def bring(self, remote: Remote, head: str, base: str, refs: Sequence[str] = ()) -> Commits:
        """Fetch commit `head` and, unless it is "", `base`, and find their merge base.

        The base comes first, so that the limit on bytes holds what the head adds to it.

        Args:
            remote: Where to fetch from.
            head: The commit to judge.
            base: The commit to compare with.
            refs: Where the head is looked for at a remote that gives out no commit by its hash.

        Raises:
            CommitMissingError: The remote has no such commit.
            RefusedCommitError: The head is over a limit, or has no history in common with the base.
            FetchError: Fetching may work later.
        """
        async with self._lock:
            await self._git("init", "--quiet", "--bare", "--template=", str(self._directory), inside=False)
            if base:
                await self._fetch(remote, base, ())
            try:
                await self._fetch(remote, head, refs)
            except (TooLargeError, MalformedObjectsError) as error:
                raise RefusedCommitError(f"commit {head[:12]} cannot be fetched: {error}") from error
            await self._require_bounded(head)
            found = await self._parted(head, base)
        if base and not found.base:
            raise RefusedCommitError(
                f"commit {head[:12]} has no history in common with {base[:12]}, which it is to be merged into; "
                "rebase it onto that branch"
            )
        return found

    async def _require_bounded(self, head: str) -> None:
        """Refuse a commit whose tree repeats itself: a few objects can list as more files than any disk holds."""
        try:
            await self._git("ls-tree", "-r", "-z", "--name-only", "--full-tree", head, most=MOST_NAMES_BYTES)
        except TooMuchOutputError as error:
            raise RefusedCommitError(
                f"commit {head[:12]} has so many files that their names exceed {error.most} bytes; remove some"
            ) from error

    async def local(self, head: str, base: str) -> Commits:
        """The same of commits that are here already. Raises `FetchError` where they are not."""
        for sha in (head, base):
            if sha and not await self._has(sha):
                raise FetchError(f"commit {sha[:12]} is not in the mirror")
        return await self._parted(head, base)

    async def changed(self, commits: Commits, patterns: Sequence[str], but: Sequence[str] = ()) -> list[str]:
        """Return the files that differ between base and head.

        Args:
            commits: Base and head.
            patterns: Git's glob patterns; a file that matches none of them is left out.
            but: The same of files to leave out.

        Raises:
            RefusedCommitError: There are more names than anybody can review.
        """
        if not commits.base or not patterns:
            return []
        specs = [*(f":(glob){pattern}" for pattern in patterns), *(f":(exclude,glob){pattern}" for pattern in but)]
        words = ("diff", "--name-only", "-z", "--no-renames", commits.base, commits.head, "--", *specs)
        try:
            return [name for name in (await self._git(*words)).split("\0") if name]
        except TooMuchOutputError as error:
            raise RefusedCommitError(
                f"commit {commits.head[:12]} changes so many files that their names exceed {error.most} bytes; split it"
            ) from error

    async def text(self, commit: str, path: str) -> str:
        """The text of a file of a commit, "" where it has none of that name or it is too large to search."""
        try:
            return await self._git("cat-file", "blob", f"{commit}:{path}", most=_MOST_TEXT_BYTES)
        except FetchError:
            return ""

    async def _parted(self, head: str, base: str) -> Commits:
        parted = await self._git("merge-base", base, head) if base else ""
        return Commits(self._directory, head, parted.splitlines()[0] if parted else "")

    async def _fetch(self, remote: Remote, sha: str, refs: Sequence[str]) -> None:
        """Have `sha`, under a name that keeps it."""
        if not _SHA.fullmatch(sha):
            raise CommitMissingError(f"{sha!a} is no commit's whole hash")
        if await self._has(sha):
            return
        try:
            await self._from(remote, f"+{sha}:refs/farm/{sha}")
        except CommitMissingError:
            if not await self._found(remote, sha, refs):
                raise
        if not await self._has(sha):
            raise CommitMissingError(f"{sha} is no commit")

    async def _found(self, remote: Remote, sha: str, refs: Sequence[str]) -> bool:
        """Whether one of `refs` leads to `sha`, which then is here."""
        for ref in refs:
            try:
                await self._from(remote, f"+{ref}:refs/farm/{sha}")
            except CommitMissingError:
                continue
            if await self._has(sha):
                return True
        return False

    async def _has(self, sha: str) -> bool:
        try:
            found = await self._git("rev-parse", "--verify", "--quiet", f"refs/farm/{sha}^{{commit}}")
        except FetchError:
            return False
        return found.strip() == sha

    async def _from(self, remote: Remote, refspec: str) -> None:
        words = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-gc")
        try:
            await self._git(*words, "--", remote.url, refspec, remote=remote)
        except FetchError as error:
            if any(sign in str(error) for sign in _MISSING):
                raise CommitMissingError(f"{_shown(remote.url)} has no {refspec[1:].partition(':')[0]}") from error
            raise


def _shown(url: str) -> str:
    """A URL without a password that somebody may have written into it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
