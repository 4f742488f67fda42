"""Runs a process within limits, and ends it with all its descendants where it exceeds one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil

# torch, PyPTO and their libraries map several times the memory they use.
ADDRESS_FACTOR = 4
_LOOK_S = 0.1
_ANSWER_S = 0.01  # between two looks for an answer that somebody waits for
_GONE_S = 10.0  # a killed process that the kernel still holds after this is left to its parent's end


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What one confined process and its descendants may use."""

    memory_bytes: int = 12 << 30  # resident, over all of its processes
    processes: int = 512  # threads counted where the kernel counts them
    file_bytes: int = 1 << 30  # of any one file
    log_bytes: int = 32 << 20
    scratch_bytes: int = 2 << 30  # of its own directory, which is in memory; where a sandbox makes it
    time_s: float = 600.0


@dataclass(frozen=True, slots=True)
class SandboxExit:
    """How a process ended."""

    code: int | None  # as `subprocess` gives it; None where it was ended here
    over: str  # the limit it exceeded, in words; "" for none
    hung: bool  # that limit was the time


class Supervised:
    """A process within limits. Use as a context manager; however it is left, the process is gone."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        limits: SandboxLimits,
        log: Path,
        answers: Mapping[Path, int],
        directory: Path,
        *,
        spoken_to: bool = False,
    ) -> None:
        """Start `command`. The arguments are those of `run`; `spoken_to` leaves its standard input open for `say`.

        Raises `OSError` where it cannot be started.
        """
        with log.open("ab") as printed:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if spoken_to else subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=directory,
                start_new_session=True,
                close_fds=True,
            )
        self._limits = limits
        self._bounded = {**answers, log: limits.log_bytes + (log.stat().st_size if log.exists() else 0)}
        self._known: set[psutil.Process] = set()

    def __enter__(self) -> Supervised:
        """Nothing is left to do."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.end()

    def end(self) -> None:
        """End it with all its descendants."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # it has gone, and the last line with it
                self._process.stdin.close()
        _end(self._process, self._known)

    def say(self, line: str) -> None:
        """Write `line` to its standard input. A process that has ended does not read it; `wait` reports its end."""
        assert self._process.stdin is not None, "it was not started to be spoken to"
        with contextlib.suppress(OSError, ValueError):  # ValueError: its standard input is closed
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()

    def wait(self, time_s: float, until: Callable[[], bool] | None = None) -> SandboxExit | None:
        """Wait for its end, at most `time_s`; return None once `until` holds."""
        deadline = time.monotonic() + time_s
        look_s = _LOOK_S if until is None else _ANSWER_S
        while True:
            if until is not None and until():
                return None
            with contextlib.suppress(subprocess.TimeoutExpired):
                return SandboxExit(self._process.wait(look_s), "", hung=False)
            self._known |= _descendants(self._process.pid)
            if time.monotonic() > deadline:
                return SandboxExit(None, f"no answer within {time_s:g} s", hung=True)
            if over := _excess(self._known, self._limits, self._bounded):
                return SandboxExit(None, over, hung=False)


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    limits: SandboxLimits,
    log: Path,
    answers: Mapping[Path, int],
    directory: Path,
) -> SandboxExit:
    """Run `command` to its end or to a limit. What it prints is appended to `log`.

    `answers` are the files it may write outside of its scratch directory, with how large each may become. `directory`
    is where it starts. Raises `OSError` where it cannot be started. However this is left, the process is gone.
    """
    with Supervised(command, environment, limits, log, answers, directory) as process:
        ended = process.wait(limits.time_s)
        assert ended is not None, "nothing else ends the wait"
        return ended


def _excess(members: set[psutil.Process], limits: SandboxLimits, bounded: Mapping[Path, int]) -> str:
    for file, most in bounded.items():
        if file.exists() and file.stat().st_size > most:
            return f"more than {_mb(most)} written to {file.name}"
    alive = 0
    resident = 0
    for member in members:
        with contextlib.suppress(psutil.Error):
            resident += member.memory_info().rss
            alive += 1
    if alive > limits.processes:
        return f"more than {limits.processes} processes"
    if resident > limits.memory_bytes:
        return f"more than {_mb(limits.memory_bytes)} of memory"
    return ""


def _descendants(pid: int) -> set[psutil.Process]:
    try:
        return set(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return set()


def _end(process: subprocess.Popen[bytes], known: set[psutil.Process]) -> None:
    """Kill what is left. In a sandbox the first kill takes all along; without one, descendants are sought out."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    left = known | _descendants(process.pid)
    for member in left:
        with contextlib.suppress(psutil.Error):
            member.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GONE_S)
    psutil.wait_procs(left, timeout=_GONE_S)


def _mb(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
