"""Runs a person's command in the foreground for a limited time: it has the terminal, and nothing of it outlives it."""

from __future__ import annotations

import contextlib
import enum
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType

from farm.process import installation

_LOOK_S = 0.1
_STOP_S = 10.0  # between SIGTERM and SIGKILL, at the end of the time
_INTERRUPTED_STOP_S = 4.0  # the same after SIGTERM or Ctrl-C: a person who interrupts waits ten seconds at most
_TWICE_S = 1.0  # a second Ctrl-C within it is for us


class Ending(str, enum.Enum):
    """Why a command has ended."""

    ITSELF = "itself"
    TIME = "time"
    INTERRUPT = "interrupt"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int  # its exit code; 128 and the number of a signal that has ended it
    why: Ending


@dataclass(slots=True)
class _Interrupts:
    """What was asked by signals since the command runs."""

    end: bool = False
    _last: float = field(default=float("-inf"))

    def terminate(self, number: int, frame: FrameType | None) -> None:
        self.end = True

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-C is the command's own business where it has the terminal too; twice in a row it is ours."""
        now = time.monotonic()
        self.end = self.end or not _terminal_is_ours() or now - self._last < _TWICE_S
        self._last = now


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    limit_s: float,
    check: Callable[[], None] = lambda: None,
    stop_s: float = _STOP_S,
) -> Ended:
    """Run `command` with exactly `environment` for at most `limit_s`, and end it with all that it has started.

    Only for the main thread. `stop_s` is between SIGTERM and SIGKILL. `check` is called all the time; what it raises
    ends the command and is raised on.
    """
    deadline = time.monotonic() + limit_s
    receiving, sending = os.pipe()
    asked = _Interrupts()
    why = Ending.ITSELF
    try:
        with _handled(asked):
            program = installation.module_command("farm.process.command_supervisor", str(receiving), *command)
            process = subprocess.Popen(program, env=dict(environment), pass_fds=(receiving,))
            os.close(receiving)
            try:
                while process.poll() is None and why is Ending.ITSELF:
                    check()
                    why = Ending.INTERRUPT if asked.end else Ending.TIME if time.monotonic() > deadline else why
                    _wait(process, _LOOK_S)
            finally:
                if process.poll() is None:
                    _stop(sending, stop_s if why is Ending.TIME else min(stop_s, _INTERRUPTED_STOP_S))
                process.wait()
    finally:
        os.close(sending)
    return Ended(process.returncode if process.returncode >= 0 else 128 - process.returncode, why)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def _stop(lifeline: int, patience_s: float) -> None:
    with contextlib.suppress(BrokenPipeError):  # it has just ended by itself
        os.write(lifeline, f"{patience_s}".encode())


@contextlib.contextmanager
def _handled(asked: _Interrupts) -> Iterator[None]:
    """Within it, SIGINT, SIGTERM and the end of the terminal are noted and interrupt nothing."""
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, asked.interrupt),
        signal.SIGTERM: signal.signal(signal.SIGTERM, asked.terminate),
        signal.SIGHUP: signal.signal(signal.SIGHUP, asked.terminate),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminal_is_ours() -> bool:
    """Whether Ctrl-C at the terminal is sent to the command as well: this process is in its foreground group."""
    try:
        return os.tcgetpgrp(sys.__stdin__.fileno() if sys.__stdin__ else 0) == os.getpgrp()
    except (OSError, ValueError):
        return False
