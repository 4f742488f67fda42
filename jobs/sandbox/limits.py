"""Runs a process within limits, and ends it with all its descendants where it exceeds one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil

from jobs.sandbox.cgroup import Group, GroupLimits
from jobs.sandbox.held_memory import held

# torch, PyPTO and their libraries map several times the memory they use.
ADDRESS_FACTOR = 4
_LOOK_S = 0.1
_ANSWER_S = 0.01  # between two looks for an answer that somebody waits for
_GONE_S = 10.0  # a killed process that the kernel still holds after this is left to its parent's end


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What one confined process and its descendants may use."""

    memory_bytes: int = 12 << 30  # over all of its processes, files and buffers in memory included
    processes: int = 512  # threads counted where the kernel counts them
    tasks: int | None = None  # processes and threads that a cgroup allows; None for `processes`
    file_bytes: int = 1 << 30  # of any one file
    log_bytes: int = 32 << 20
    scratch_bytes: int = 2 << 30  # of its own directory, which is in memory; where a sandbox makes it
    time_s: float = 600.0
    open_files: int = 1024  # of each process; on the way from process to process as many again
    cpus: float | None = None  # at the same time, where a cgroup is; None for all of the machine's but one

    @property
    def group(self) -> GroupLimits:
        """What a cgroup on this machine holds the processes to."""
        cpus = max(1, (os.cpu_count() or 1) - 1) if self.cpus is None else self.cpus
        return GroupLimits(self.memory_bytes, self.processes if self.tasks is None else self.tasks, cpus)

    @property
    def cpu_s(self) -> int:
        """Processor time of each process: what all of the machine's processors give within `time_s`."""
        return 1 + int(self.time_s * (os.cpu_count() or 1))


@dataclass(frozen=True, slots=True)
class SandboxCommand:
    """A command, and what Linux bounds its processes with."""

    command: Sequence[str]
    filter: bytes = b""  # of system calls, for the command's own `--seccomp`; empty for none
    subtree: Path | None = None  # of the control groups, where the farm has one
    mounts: Sequence[str] = ()  # its file systems in memory, as it sees them


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
        launch: SandboxCommand,
        environment: Mapping[str, str],
        limits: SandboxLimits,
        log: Path,
        answers: Mapping[Path, int],
        directory: Path,
        *,
        spoken_to: bool = False,
    ) -> None:
        """Start a command. The arguments are those of `run`; `spoken_to` leaves its standard input open for `say`.

        Raises `OSError` where it cannot be started.
        """
        self._group = None if launch.subtree is None else Group(launch.subtree, limits.group)
        try:
            with log.open("ab") as printed, _filtered(launch) as (command, descriptors):
                self._process = subprocess.Popen(
                    command if self._group is None else self._group.joined(command),
                    stdin=subprocess.PIPE if spoken_to else subprocess.DEVNULL,
                    stdout=printed,
                    stderr=subprocess.STDOUT,
                    env=dict(environment),
                    cwd=directory,
                    start_new_session=True,
                    close_fds=True,
                    pass_fds=descriptors,
                )
        except OSError:
            if self._group is not None:
                self._group.end()
            raise
        self._launch = launch
        self._limits = limits
        self._looked = time.monotonic()
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
        if self._group is not None:
            self._group.end()

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
                return self._ended(self._process.wait(look_s))
            if time.monotonic() > deadline:
                return SandboxExit(None, f"no answer within {time_s:g} s", hung=True)
            if time.monotonic() - self._looked >= _LOOK_S and (over := self._excess()):
                return SandboxExit(None, over, hung=False)

    def _ended(self, code: int) -> SandboxExit:
        if self._group is not None and self._group.out_of_memory():
            return SandboxExit(None, _too_much_memory(self._limits), hung=False)
        return SandboxExit(code, "", hung=False)

    def _excess(self) -> str:
        """The limit that it exceeds now, in words; "" for none."""
        self._known |= _descendants(self._process.pid)
        try:
            return (
                _too_large(self._bounded)
                or _too_many(self._known, self._limits)
                or ("" if self._group is not None else _too_much(self._known, self._launch, self._limits))
            )
        finally:
            self._looked = time.monotonic()


def run(
    launch: SandboxCommand,
    environment: Mapping[str, str],
    limits: SandboxLimits,
    log: Path,
    answers: Mapping[Path, int],
    directory: Path,
) -> SandboxExit:
    """Run a command to its end or to a limit. What it prints is appended to `log`.

    `answers` are the files it may write outside of its scratch directory, with how large each may become. `directory`
    is where it starts. Raises `OSError` where it cannot be started. However this is left, the process is gone.
    """
    with Supervised(launch, environment, limits, log, answers, directory) as process:
        ended = process.wait(limits.time_s)
        assert ended is not None, "nothing else ends the wait"
        return ended


@contextlib.contextmanager
def _filtered(launch: SandboxCommand) -> Iterator[tuple[list[str], tuple[int, ...]]]:
    """The command with its filter of system calls, and the descriptor that it reads it from."""
    if not launch.filter:
        yield list(launch.command), ()
        return
    file = os.memfd_create("farm-filter")
    try:
        os.write(file, launch.filter)
        os.lseek(file, 0, os.SEEK_SET)
        first, *rest = launch.command
        yield [first, "--seccomp", str(file), *rest], (file,)
    finally:
        os.close(file)


def _too_large(bounded: Mapping[Path, int]) -> str:
    for file, most in bounded.items():
        if file.exists() and file.stat().st_size > most:
            return f"more than {_mb(most)} written to {file.name}"
    return ""


def _too_many(members: set[psutil.Process], limits: SandboxLimits) -> str:
    alive = sum(not _has_ended(member) for member in members)
    return f"more than {limits.processes} processes" if alive > limits.processes else ""


def _too_much(members: set[psutil.Process], launch: SandboxCommand, limits: SandboxLimits) -> str:
    pids = [member.pid for member in members if not _has_ended(member)]
    if held(pids, launch.mounts, filtered=bool(launch.filter)) > limits.memory_bytes:
        return _too_much_memory(limits)
    return ""


def _too_much_memory(limits: SandboxLimits) -> str:
    return f"more than {_mb(limits.memory_bytes)} of memory"


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
    deadline = time.monotonic() + _GONE_S
    while not all(map(_has_ended, left)) and time.monotonic() < deadline:
        time.sleep(_ANSWER_S)


def _has_ended(member: psutil.Process) -> bool:
    """Whether nothing of it runs. A zombie waits for its new parent only."""
    try:
        return not member.is_running() or member.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


def _mb(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
