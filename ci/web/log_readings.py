"""Asks a process of its own what a profile reads in a log: a stranger's regular expression can take for ever."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import BoundedSemaphore

from pydantic import ValidationError

import farm
from farm.harness.log_reading import MOST_CPU_S, LogQuestion, LogReading

LOG = logging.getLogger(__name__)

_COMMAND = (sys.executable, "-m", "farm.harness.log_reading")
_AT_ONCE = 2
_PATIENCE_S = 5.0  # for those that are being answered

_MOST_SAID = 2000  # characters of what the process printed, for the service's log
_LIMITS = (-signal.SIGXCPU, -signal.SIGKILL)
_TOO_MUCH = LogReading(
    problem=f"its patterns need more than {MOST_CPU_S} s and 1 GiB for this log; anchor them with ^, or avoid nested "
    "repetitions"
)
_UNREAD = LogReading(problem="the log could not be read here, which is no fault of the profile; see the service's log")


class BusyError(Exception):
    """As many questions as may be at once are being answered."""


class LogReadings:
    """Answers a bounded number of questions at once, each within a bounded time."""

    def __init__(
        self,
        limit_s: float = 2 * MOST_CPU_S,
        at_once: int = _AT_ONCE,
        patience_s: float = _PATIENCE_S,
        command: Sequence[str] = _COMMAND,
    ) -> None:
        """`limit_s` is the time for one answer: that of the process's own CPU, and as much again on a busy machine."""
        self._limit_s = limit_s
        self._command = command
        self._patience_s = patience_s
        self._free = BoundedSemaphore(at_once)

    def ask(self, asked: LogQuestion) -> LogReading:
        """Return the answer; a profile that cannot be tried says so in it. Raises `BusyError`."""
        if not self._free.acquire(timeout=self._patience_s):
            raise BusyError
        try:
            return self._answer(asked)
        finally:
            self._free.release()

    def _answer(self, asked: LogQuestion) -> LogReading:
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        environment = {**kept, "PYTHONPATH": str(Path(farm.__file__).parents[1]), "LC_ALL": "C.UTF-8"}
        try:
            done = subprocess.run(
                self._command,
                input=asked.model_dump_json().encode(),
                capture_output=True,
                timeout=self._limit_s,
                env=environment,
                cwd="/",
                check=False,
            )
        except subprocess.TimeoutExpired:
            return _TOO_MUCH
        said = done.stderr.decode(errors="replace").strip()
        if done.returncode in _LIMITS or said.rpartition("\n")[2].startswith("MemoryError"):
            return _TOO_MUCH
        try:
            return LogReading.model_validate_json(done.stdout)
        except ValidationError:
            LOG.error("a log could not be read: exit code %d: %s", done.returncode, said[-_MOST_SAID:])
            return _UNREAD
