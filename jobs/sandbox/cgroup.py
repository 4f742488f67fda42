"""A control group (cgroup v2) for each confined process: Linux itself bounds memory, tasks and processor time.

Only there everything that the kernel holds for a program counts as its memory: files in memory, pipes, the buffers of
sockets, page tables. It takes a subtree of the hierarchy that is the farm's to use. Systemd delegates one to a service
or a scope with `Delegate=yes`; the operator of a container names one with `FARM_CGROUP`.

In such a subtree Linux allows processes at its ends alone, so those of the farm move to the group `farm` in it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "FARM_CGROUP"
ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
_FARM = "farm"  # the group of the farm's own processes
_PREFIX = "sandbox"
_NEEDED = ("memory", "pids")
_USED = (*_NEEDED, "cpu")
_MARKS = ("user.delegate", "trusted.delegate")  # systemd's, on what it leaves to others
_CPU_PERIOD_US = 100_000
_EVACUATIONS = 20  # a process may start another one while they move
_TRY_TIMEOUT_S = 10.0
_GONE_S = 10.0
_LOOK_S = 0.01
# The process joins before it becomes the program, so that nothing of that is ever outside. "0" is the writer.
_JOIN = 'echo 0 > "$0" && exec "$@"'


@dataclass(frozen=True, slots=True)
class Subtree:
    """The part of the hierarchy that the farm may use."""

    path: Path | None
    lacks: str  # why there is none, one line; "" where there is one


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """What all processes of one group may use together."""

    memory_bytes: int
    tasks: int  # processes and threads
    cpus: float  # processors' worth of time


def find(environment: Mapping[str, str], root: Path = ROOT, own: Path = OWN) -> Subtree:
    """Find the subtree that the farm may use, and prepare it: the farm's processes move to one group in it.

    Args:
        environment: Where `FARM_CGROUP` may name it; "none" for no control groups.
        root: Where cgroup v2 is mounted.
        own: The file with this process's place in the hierarchy.
    """
    named = environment.get(VARIABLE, "")
    if named == "none":
        return Subtree(None, f"{VARIABLE} is none")
    path = Path(named) if named else _delegated(root, own)
    if path is None:
        here = "no cgroup is delegated to the farm" if _is_v2(root) else f"no cgroup v2 is mounted at {root}"
        return Subtree(None, here)
    if not (path / "cgroup.controllers").is_file():
        return Subtree(None, f"{path} is not a directory of cgroup v2")
    missing = [each for each in _NEEDED if each not in _words(path / "cgroup.controllers")]
    if missing:
        return Subtree(None, f"{path} has no controller for {' and '.join(missing)}")
    try:
        _remove_left(path)
        _enable(path)
        _try(path)
    except (OSError, subprocess.SubprocessError) as error:
        return Subtree(None, f"{path} cannot be used: {error}")
    return Subtree(path, "")


def remedy() -> str:
    """What to do where there is none."""
    return (
        "start the service with Delegate=yes, or a command by "
        f"`systemd-run --user --scope -p Delegate=yes farm …`; in a container set {VARIABLE}"
    )


class Group:
    """The control group of one confined process. `end` ends all that is in it."""

    def __init__(self, subtree: Path, limits: GroupLimits) -> None:
        """Make a group below `subtree`. Raises `OSError`."""
        self.path = subtree / f"{_PREFIX}-{os.getpid()}-{secrets.token_hex(4)}"
        self.path.mkdir()
        try:
            self._set("memory.max", limits.memory_bytes)
            self._set("pids.max", limits.tasks)
        except OSError:
            self.end()
            raise
        for name, value in (
            ("memory.swap.max", 0),
            ("memory.oom.group", 1),
            ("cpu.max", f"{max(1000, int(limits.cpus * _CPU_PERIOD_US))} {_CPU_PERIOD_US}"),
        ):
            with contextlib.suppress(OSError):  # without swap accounting, an older Linux, without this controller
                self._set(name, value)

    def joined(self, command: Sequence[str]) -> list[str]:
        """Return `command` so that it runs in this group from its first instruction on."""
        return ["/bin/sh", "-c", _JOIN, str(self.path / "cgroup.procs"), *command]

    def out_of_memory(self) -> bool:
        """Whether Linux has ended a process in it because of its memory."""
        return any(
            line.startswith("oom_kill ") and line != "oom_kill 0" for line in _lines(self.path / "memory.events")
        )

    def end(self) -> None:
        """End what is in it, and remove it. Does nothing where it has been removed."""
        if not self.path.is_dir():
            return
        deadline = time.monotonic() + _GONE_S
        with contextlib.suppress(OSError):
            self._set("cgroup.kill", 1)  # since Linux 5.14; the supervisor kills as well
        while "populated 1" in _lines(self.path / "cgroup.events") and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        with contextlib.suppress(OSError):  # the next process of the farm removes it
            self.path.rmdir()

    def _set(self, name: str, value: object) -> None:
        (self.path / name).write_text(f"{value}\n")


def _is_v2(root: Path) -> bool:
    return (root / "cgroup.controllers").is_file()


def _delegated(root: Path, own: Path) -> Path | None:
    """The nearest group at or above this process's own one that somebody has left to the farm."""
    place = next((line.removeprefix("0::") for line in _lines(own) if line.startswith("0::/")), None)
    if place is None or ".." in place or not _is_v2(root):
        return None
    start = root / place.lstrip("/")
    for path in (start, *start.parents):
        if path == root or not path.is_relative_to(root):
            return None
        # Below a systemd of its own, as each user has one, that one is the owner.
        if (_is_marked(path) or _is_given(path)) and not (path / "init.scope").exists():
            return path
    return None


def _is_marked(path: Path) -> bool:
    for name in _MARKS:
        with contextlib.suppress(OSError):
            if os.getxattr(path, name) == b"1":
                return True
    return False


def _is_given(path: Path) -> bool:
    """Whether the group is this user's and the one above it is not: older versions of systemd leave no mark."""
    user = os.geteuid()
    with contextlib.suppress(OSError):
        return user != 0 and path.stat().st_uid == user != path.parent.stat().st_uid
    return False


def _enable(path: Path) -> None:
    """Have the groups below `path` bounded."""
    available = [each for each in _USED if each in _words(path / "cgroup.controllers")]
    if set(available) <= set(_words(path / "cgroup.subtree_control")):
        return
    for _ in range(_EVACUATIONS):
        _evacuate(path)
        try:
            (path / "cgroup.subtree_control").write_text(" ".join(f"+{each}" for each in available))
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        else:
            return
    raise OSError(errno.EBUSY, "processes that cannot be moved are in it")


def _evacuate(path: Path) -> None:
    target = path / _FARM
    target.mkdir(exist_ok=True)
    for pid in _lines(path / "cgroup.procs"):
        with contextlib.suppress(ProcessLookupError):
            (target / "cgroup.procs").write_text(pid)


def _try(path: Path) -> None:
    """Have a process join a group. Raises `OSError` where it may not."""
    with _group(path, GroupLimits(1 << 30, 16, 1.0)) as group:
        done = subprocess.run(
            group.joined(["/bin/true"]), capture_output=True, text=True, timeout=_TRY_TIMEOUT_S, check=False
        )
    if done.returncode != 0:
        raise OSError(errno.EACCES, done.stderr.strip() or f"exit code {done.returncode}")


@contextlib.contextmanager
def _group(path: Path, limits: GroupLimits) -> Iterator[Group]:
    group = Group(path, limits)
    try:
        yield group
    finally:
        group.end()


def _remove_left(path: Path) -> None:
    """Remove the groups of processes of the farm that were killed."""
    for left in path.glob(f"{_PREFIX}-*-*"):
        owner = left.name.split("-")[1]
        if not Path("/proc", owner).exists():
            with contextlib.suppress(OSError):  # in use, or another one removes it as well
                left.rmdir()


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []


def _words(file: Path) -> list[str]:
    return " ".join(_lines(file)).split()
