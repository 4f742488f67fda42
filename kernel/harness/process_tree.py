"""Runs a command with everything it starts under a time limit and a disk quota, and leaves no process behind.

The command runs under `kernel.harness.supervisor`. Should the command kill that, every process that still carries the
trial's mark in its environment is killed from here.
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
import secrets
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

from kernel.harness import supervisor

MARK = "FARM_TRIAL"  # in the environment of every process of one run
_CHUNK_BYTES = 1 << 18
_LOOK_S = 0.25
_DISK_LOOK_S = 1.0
_LEAST_FREE_BYTES = 32 << 20  # below it the log itself could not be finished
_GIVE_UP_S = 20.0  # for the supervisor to tell how it ended: twice its own patience


class Stop(str, enum.Enum):
    """Why a run was ended from outside."""

    NONE = ""
    TIME = "time"  # the limit
    QUOTA = "quota"  # it wrote more than it may
    DISK = "disk"  # the disk is full, whoever filled it
    LIMIT = "limit"  # it used more memory or processes than it may, or printed more


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a run may use."""

    seconds: float
    stop_seconds: float  # between SIGTERM and SIGKILL
    disk_bytes: int  # below its directory


@dataclass(frozen=True, slots=True)
class ProcessExit:
    """How a command ended."""

    exit_code: int | None  # negative for a signal; None where nobody saw it end
    stopped: Stop = Stop.NONE
    left: tuple[str, ...] = ()  # command lines of what it had left running, killed since
    stuck: tuple[str, ...] = ()  # command lines of what did not die
    problem: str = ""  # why it could not be started
    used_bytes: int = 0  # on the disk, where it was stopped for its quota
    over: str = ""  # what it exceeded, in words, where it was stopped for another limit


@dataclass(slots=True)
class _Under:
    """One run under way."""

    bounds: Bounds
    directory: Path
    output: int
    status: int
    control: int
    give_up: Callable[[], bool] = lambda: False
    begin: float = field(default_factory=time.monotonic)
    looked: float = 0.0
    stopped: Stop = Stop.NONE
    stop_at: float = 0.0
    used_bytes: int = 0

    def stop(self, why: Stop) -> None:
        self.stopped, self.stop_at = why, time.monotonic()
        with contextlib.suppress(BrokenPipeError):  # it has just ended by itself
            os.write(self.control, b"stop")

    def overdue(self) -> bool:
        """Whether the supervisor has had its time to end, and has not."""
        patience = self.bounds.stop_seconds + _GIVE_UP_S
        return self.stopped is not Stop.NONE and time.monotonic() - self.stop_at > patience


def run(
    command: Sequence[str],
    directory: Path,
    environment: Mapping[str, str],
    bounds: Bounds,
    on_output: Callable[[bytes], None],
    measured: Path | None = None,
    give_up: Callable[[], bool] = lambda: False,
) -> ProcessExit:
    """Run `command` in `directory` with exactly `environment`; `on_output` gets what it prints, stderr included.

    The disk quota is of what lies below `measured`, which is `directory` where it is not given. `give_up` is asked
    several times a second; once it returns true the command is ended as if its time were over.

    Returns when no process of it is left. `on_output` may raise; then everything is ended first. Raises `OSError`.
    """
    mark = secrets.token_hex(16)
    try:
        with contextlib.ExitStack() as stack:
            under = _start(stack, command, directory, {**environment, MARK: mark}, bounds)
            under.directory, under.give_up = measured or directory, give_up
            told = _follow(under, on_output)
    finally:
        swept = _sweep(mark)
    ended: dict[str, Any] = json.loads(told) if told else {"exit": None}
    return ProcessExit(
        exit_code=ended["exit"],
        stopped=under.stopped,
        left=(*ended.get("left", ()), *swept),
        stuck=tuple(ended.get("stuck", ())),
        problem=ended.get("problem", ""),
        used_bytes=under.used_bytes if under.stopped is Stop.QUOTA else 0,
    )


def _start(
    stack: contextlib.ExitStack, command: Sequence[str], directory: Path, environment: Mapping[str, str], bounds: Bounds
) -> _Under:
    control_end, control = os.pipe()
    stack.callback(os.close, control)
    status, status_end = os.pipe()
    stack.callback(os.close, status)
    program = [sys.executable, "-I", str(Path(supervisor.__file__).resolve()), str(control_end), str(status_end)]
    try:
        started = subprocess.Popen(
            [*program, str(bounds.stop_seconds), str(bounds.disk_bytes), *command],
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(control_end, status_end),
        )
    finally:
        os.close(control_end)
        os.close(status_end)
    assert started.stdout is not None
    output: IO[bytes] = stack.enter_context(started.stdout)
    started.wait()  # it leaves the supervisor behind, which is nobody's child
    return _Under(bounds, directory, output.fileno(), status, control)


def _follow(under: _Under, on_output: Callable[[bytes], None]) -> bytes:
    """Hand on what is printed until the supervisor has reported how it ended; b"" where it ended without a report."""
    waiting = {under.output, under.status}
    told = b""
    while under.status in waiting and not under.overdue():
        for ready in select.select(list(waiting), [], [], _LOOK_S)[0]:
            data = os.read(ready, _CHUNK_BYTES)
            if not data:
                waiting.discard(ready)
            elif ready == under.status:
                told += data
            else:
                on_output(data)
        _hold_to(under)
    while under.output in waiting and select.select([under.output], [], [], 0)[0]:
        if not (data := os.read(under.output, _CHUNK_BYTES)):
            break
        on_output(data)
    return told


def _hold_to(under: _Under) -> None:
    """Stop the run where it has used up what it may."""
    now = time.monotonic()
    if under.stopped is not Stop.NONE:
        return
    if now - under.begin > under.bounds.seconds or under.give_up():
        under.stop(Stop.TIME)
    elif now - under.looked > _DISK_LOOK_S:
        under.looked = now
        under.used_bytes = size_of(under.directory)
        if under.used_bytes > under.bounds.disk_bytes:
            under.stop(Stop.QUOTA)
        elif shutil.disk_usage(under.directory).free < _LEAST_FREE_BYTES:
            under.stop(Stop.DISK)


def size_of(directory: Path) -> int:
    """Bytes the files below `directory` take up on the disk; what vanishes meanwhile counts nothing."""
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(parent) / name).lstat().st_blocks * 512
    return total


def _sweep(mark: str) -> list[str]:
    """Kill every process that carries `mark`; the command lines of those that did."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark:
                found.append(" ".join(process.cmdline())[:120] or process.name())
                process.kill()
    return found
