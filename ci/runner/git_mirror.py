"""Commits of a repository on this machine: a bare mirror, into which exactly what a job needs is fetched.

What comes in is hostile. Nothing of it is checked out here, so no hook, filter, submodule or attribute is acted on; git
gets an environment and a configuration of its own, and limits on size and time. A token reaches it through the
environment alone: the command line is everybody's to read, and a configuration file outlives the fetch.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from farm.errors import InfrastructureError, UsageError

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_PASSED_ON = (
    "PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTPS_PROXY",
    "NO_PROXY",
)
_MISSING = ("not our ref", "unadvertised object", "couldn't find remote ref", "could not find remote ref")
_LIMITED = 'ulimit -f "$1" && shift && exec "$@"'  # POSIX: blocks of 512 bytes; git's children inherit it
_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.alternateRefsCommand": "true",
    "credential.helper": "",
    "fetch.fsckObjects": "true",
    "fetch.unpackLimit": "1",  # always one pack, which is what the size limit counts
    "fetch.recurseSubmodules": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "http.followRedirects": "false",  # the token is for this address
    "protocol.ext.allow": "never",
    "submodule.recurse": "false",
}


class CommitMissingError(UsageError):
    """The repository has no such commit; asking again does not help."""


class FetchError(InfrastructureError):
    """The repository does not answer, not in time, or with too much; asking again may help."""


@dataclass(frozen=True, slots=True)
class Remote:
    """Where a repository is fetched from."""

    url: str  # https://…, http://… or file:///…
    token: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What one fetch may cost."""

    bytes: int
    seconds: float


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
        self._limits = limits
        self._lock = asyncio.Lock()

    async def bring(self, remote: Remote, head: str, base: str, refs: Sequence[str] = ()) -> Commits:
        """Fetch commit `head` and, unless it is "", `base`, and find where the two parted.

        `refs` are where the head is looked for at a remote that gives out no commit by its hash. Raises
        `CommitMissingError` and `FetchError`.
        """
        async with self._lock:
            await self._git("init", "--quiet", "--bare", "--template=", str(self._directory))
            await self._fetch(remote, head, refs)
            if base:
                await self._fetch(remote, base, ())
            return await self._parted(head, base)

    async def local(self, head: str, base: str) -> Commits:
        """The same of commits that are here already. Raises `FetchError` where they are not."""
        for sha in (head, base):
            if sha and not await self._has(sha):
                raise FetchError(f"commit {sha[:12]} is not in the mirror")
        return await self._parted(head, base)

    async def changed(self, commits: Commits, patterns: Sequence[str]) -> list[str]:
        """The files that match one of git's glob `patterns` and differ between base and head."""
        if not commits.base or not patterns:
            return []
        specs = [f":(glob){pattern}" for pattern in patterns]
        words = ("diff", "--name-only", "-z", "--no-renames", commits.base, commits.head, "--", *specs)
        return [name for name in (await self._git(*words, inside=True)).split("\0") if name]

    async def text(self, commit: str, path: str) -> str:
        """The text of a file of a commit, "" where it has none of that name."""
        try:
            return await self._git("cat-file", "blob", f"{commit}:{path}", inside=True)
        except FetchError:
            return ""

    async def _parted(self, head: str, base: str) -> Commits:
        parted = await self._git("merge-base", base, head, inside=True) if base else ""
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
            found = await self._git("rev-parse", "--verify", "--quiet", f"refs/farm/{sha}^{{commit}}", inside=True)
        except FetchError:
            return False
        return found.strip() == sha

    async def _from(self, remote: Remote, refspec: str) -> None:
        words = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-gc")
        try:
            await self._git(*words, "--", remote.url, refspec, inside=True, remote=remote)
        except FetchError as error:
            if any(sign in str(error) for sign in _MISSING):
                raise CommitMissingError(f"{_shown(remote.url)} has no {refspec[1:].partition(':')[0]}") from error
            raise

    async def _git(self, *words: str, inside: bool = False, remote: Remote | None = None) -> str:
        """What git prints. Raises `FetchError` with what it complains of."""
        blocks = str(self._limits.bytes // 512)
        place = ("--git-dir", str(self._directory)) if inside else ()
        self._directory.parent.mkdir(parents=True, exist_ok=True)
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", _LIMITED, "sh", blocks, "git", *place, *words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(os.environ, self._directory, remote),
            start_new_session=True,
        )
        try:
            output, complaint = await asyncio.wait_for(process.communicate(), self._limits.seconds)
        except asyncio.TimeoutError:
            raise FetchError(f"git {words[0]} has not ended within {self._limits.seconds:.0f} s") from None
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)  # its helpers with it; it leads their group
                await process.wait()
                self._sweep()
        if process.returncode and not (words[0] == "merge-base" and process.returncode == 1):  # 1: nothing in common
            if self._sweep() >= self._limits.bytes // 512 * 512:
                raise FetchError(f"the commits are larger than {self._limits.bytes} bytes; see [runner] fetch_bytes")
            raise FetchError(_complaint(words[0], complaint.decode(errors="replace")))
        return output.decode(errors="replace")

    def _sweep(self) -> int:
        """Remove what a fetch that was ended leaves behind; the size of its largest file."""
        largest = 0
        for left in (self._directory / "objects" / "pack").glob("tmp_*"):
            largest = max(largest, left.stat().st_size)
            left.unlink()
        return largest


def environment(outer: Mapping[str, str], home: Path, remote: Remote | None) -> dict[str, str]:
    """Everything that git gets to see. Of `outer` only what it needs to run and to reach the network."""
    settings = dict(_SETTINGS)
    scheme = ""
    if remote is not None:
        parts = urlsplit(remote.url)
        scheme = parts.scheme
        if remote.token is not None and scheme in ("http", "https"):
            pair = base64.b64encode(f"x-access-token:{remote.token.get_secret_value()}".encode()).decode()
            settings[f"http.{scheme}://{parts.netloc}/.extraHeader"] = f"Authorization: Basic {pair}"
    given = {name: outer[name] for name in _PASSED_ON if name in outer}
    given |= {
        "HOME": str(home),  # no .netrc and no .gitconfig of anybody
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "GIT_ALLOW_PROTOCOL": scheme,
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, (key, value) in enumerate(settings.items()):
        given |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return given


def _complaint(word: str, said: str) -> str:
    lines = [line for line in said.splitlines() if line.startswith(("fatal:", "error:"))] or said.splitlines()
    return f"git {word}: {lines[0][:300] if lines else 'failed'}"


def _shown(url: str) -> str:
    """A URL without a password that somebody may have written into it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
