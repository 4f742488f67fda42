"""Runs a process within limits, and ends it with all its descendants where it exceeds one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

# torch, PyPTO and their libraries map several times the memory they use.
ADDRESS_FACTOR = 4
_LOOK_S = 0.1
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
    with log.open("ab") as printed:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=directory,
            start_new_session=True,
            close_fds=True,
        )
    bounded = {**answers, log: limits.log_bytes + (log.stat().st_size if log.exists() else 0)}
    deadline = time.monotonic() + limits.time_s
    known: set[psutil.Process] = set()
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return SandboxExit(process.wait(_LOOK_S), "", hung=False)
            known |= _descendants(process.pid)
            if time.monotonic() > deadline:
                return SandboxExit(None, f"no answer within {limits.time_s:g} s", hung=True)
            if over := _excess(known, limits, bounded):
                return SandboxExit(None, over, hung=False)
    finally:
        _end(process, known)


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
