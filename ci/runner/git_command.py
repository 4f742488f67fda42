"""Runs git over what strangers wrote: with limits on time, memory, file size and output, and nothing configured.

A token reaches git through the environment alone: the command line is everybody's to read, and a configuration file
outlives the fetch.
"""

from __future__ import annotations

import asyncio
import base64
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from ci.outbox.waiting import within
from farm.errors import InfrastructureError, UsageError

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
# Blocks of 512 bytes, and of memory KiB; git's children inherit both.
_LIMITED = 'ulimit -f "$1" && ulimit -v "$2" && shift 2 && exec "$@"'
_MEMORY_KIB = 4 << 20  # a pack of some MB can hold a chain of deltas that unpacks to gigabytes
_COMPLAINT_BYTES = 64 << 10
_PIECE_BYTES = 64 << 10
USER = "x-access-token"  # whose password a token is; most forges take any name
MOST_OUTPUT_BYTES = 4 << 20  # of git's answers, unless a caller asks for less
_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.bigFileThreshold": "8m",  # larger ones are streamed, and not held in memory
    "core.fsmonitor": "false",
    "core.packedGitWindowSize": "32m",
    "core.packedGitLimit": "256m",
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


class FetchError(InfrastructureError):
    """The repository does not answer, not in time, or with too much; asking again may help."""


class RefusedCommitError(UsageError):
    """The commit itself cannot be judged; the message says why, and only another commit helps."""


class TooMuchOutputError(FetchError):
    """Git's answer is longer than anybody wants to read."""

    def __init__(self, word: str, most: int) -> None:
        self.most = most
        super().__init__(f"git {word} printed more than {most} bytes")


class TooLargeError(FetchError):
    """A fetch brought more than it may."""


class MalformedObjectsError(FetchError):
    """What a fetch brought is not what git itself would write: paths such as `.git`, or broken objects."""


@dataclass(frozen=True, slots=True)
class Remote:
    """Where a repository is fetched from."""

    url: str  # https://…, http://… or file:///…
    token: SecretStr | None = None
    user: str = USER


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What one fetch may cost."""

    bytes: int
    seconds: float


class Git:
    """Git for one bare repository at `directory`."""

    def __init__(self, directory: Path, limits: FetchLimits) -> None:
        self._directory = directory
        self._limits = limits

    async def run(self, *words: str, inside: bool = True, remote: Remote | None = None, most: int = 0) -> str:
        """Return what git prints.

        Args:
            words: The command and its arguments.
            inside: Whether the repository is there already.
            remote: Where the command may connect to; without one, nowhere.
            most: How many bytes of output are read; 0 for `MOST_OUTPUT_BYTES`.

        Raises:
            TooMuchOutputError: Git printed more than `most` bytes.
            TooLargeError: A fetched file reached the limit on bytes.
            MalformedObjectsError: Fetched objects failed git's own check.
            FetchError: Git failed, or did not end in time. The message is git's.
        """
        process = await self._started(words, inside, remote)
        try:
            output, complaint = await within(_read(process, words[0], most or MOST_OUTPUT_BYTES), self._limits.seconds)
        except asyncio.TimeoutError:
            raise FetchError(f"git {words[0]} has not ended within {self._limits.seconds:.0f} s") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):  # it has ended, and asyncio has not heard of it yet
                    os.killpg(process.pid, signal.SIGKILL)  # its helpers with it; it leads their group
                await _drain(process)
                self._sweep(words[0])
        if process.returncode and not (words[0] == "merge-base" and process.returncode == 1):  # 1: nothing in common
            if self._sweep(words[0]) >= self._limits.bytes // 512 * 512:
                raise TooLargeError(f"the commits are larger than {self._limits.bytes} bytes; see [runner] fetch_bytes")
            kind = MalformedObjectsError if b"fsck error" in complaint else FetchError
            raise kind(_complaint(words[0], complaint.decode(errors="replace")))
        return output.decode(errors="replace")

    async def _started(self, words: tuple[str, ...], inside: bool, remote: Remote | None) -> asyncio.subprocess.Process:
        place = ("--git-dir", str(self._directory)) if inside else ()
        self._directory.parent.mkdir(parents=True, exist_ok=True)
        limits = (str(self._limits.bytes // 512), str(_MEMORY_KIB))
        return await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", _LIMITED, "sh", *limits, "git", *place, *words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(os.environ, self._directory, remote),
            start_new_session=True,
        )

    def _sweep(self, word: str) -> int:
        """Remove what a fetch that was ended leaves behind; the size of its largest file.

        No other command does so: it may run beside a fetch, of which such a file is the pack under way.
        """
        largest = 0
        if word != "fetch":
            return largest
        for left in (self._directory / "objects" / "pack").glob("tmp_*"):
            largest = max(largest, left.stat().st_size)
            left.unlink()
        return largest


async def _read(process: asyncio.subprocess.Process, word: str, most: int) -> tuple[bytes, bytes]:
    """Output and complaint of a process that has ended. Raises `TooMuchOutputError` while it runs."""
    assert process.stdout is not None and process.stderr is not None, "opened as pipes"
    complaint = asyncio.create_task(_first(process.stderr))
    try:
        output = await _all(process.stdout, word, most)
        said = await complaint
    finally:
        complaint.cancel()
        await asyncio.gather(complaint, return_exceptions=True)
    await process.wait()
    return output, said


async def _drain(process: asyncio.subprocess.Process) -> None:
    """Wait for a process that was killed; asyncio calls it ended only once its pipes have been read to their end."""
    for stream in (process.stdout, process.stderr):
        while stream is not None and await stream.read(_PIECE_BYTES):
            pass
    await process.wait()


async def _all(stream: asyncio.StreamReader, word: str, most: int) -> bytes:
    kept = bytearray()
    while piece := await stream.read(_PIECE_BYTES):
        kept += piece
        if len(kept) > most:
            raise TooMuchOutputError(word, most)
    return bytes(kept)


async def _first(stream: asyncio.StreamReader) -> bytes:
    """The beginning of a stream that is read to its end, so that its writer never waits."""
    kept = bytearray()
    while piece := await stream.read(_PIECE_BYTES):
        kept += piece[: max(0, _COMPLAINT_BYTES - len(kept))]
    return bytes(kept)


def environment(outer: Mapping[str, str], home: Path, remote: Remote | None) -> dict[str, str]:
    """Everything that git gets to see. Of `outer` only what it needs to run and to reach the network."""
    settings = dict(_SETTINGS)
    scheme = ""
    if remote is not None:
        parts = urlsplit(remote.url)
        scheme = parts.scheme
        if remote.token is not None and scheme in ("http", "https"):
            pair = base64.b64encode(f"{remote.user}:{remote.token.get_secret_value()}".encode()).decode()
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
