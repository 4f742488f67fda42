"""Starts a suite's command, whose files are somebody's commit, in a sandbox.

It sees the system, Python, its repository read-only, its own working directory, the nodes of its devices, and what the
profile shows it of the toolchain; no network, no home, no other run. What it leaves is purged of everything that is no
plain file before the farm reads it: a link would have the farm read what the command itself could not.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.sandbox import bubblewrap
from jobs.sandbox.bubblewrap import TRUSTED, View
from jobs.sandbox.drop_privileges import UNSEEN
from jobs.sandbox.limits import SandboxCommand, SandboxExit, SandboxLimits, Supervised
from jobs.sandbox.scratch import trusted_packages
from kernel.errors import PlatformUnavailableError
from kernel.harness import process_tree
from kernel.harness.launch import Access
from kernel.harness.process_tree import Bounds, ProcessExit, Stop
from kernel.platforms import ascend_container

_LOOK_S = 0.5
_LOG_BYTES = 256 << 20  # printed by one command; the profile's limit is of what is kept
_BLOCK = 1 << 18
_LEAST_FREE_BYTES = 32 << 20
_NO_PROGRAM = 127  # exit code of shells, and of `drop_privileges`
# The kernel refuses a process only beyond this many times the limit: before that the count made here ends the command
# and says why. A refused fork would look like a machine that has no room.
_BURST = 4
_HOME = "/tmp"  # inside: memory of its own


@dataclass(frozen=True, slots=True)
class SandboxedLauncher:
    """Follows `kernel.harness.launch.Launcher`."""

    readable: tuple[Path, ...]  # of the toolchain, outside the system's directories
    memory_bytes: int
    processes: int
    required: bool  # refuse where there is no sandbox

    confined = True

    def run(
        self,
        command: Sequence[str],
        directory: Path,
        environment: Mapping[str, str],
        bounds: Bounds,
        on_output: Callable[[bytes], None],
        access: Access,
    ) -> ProcessExit:
        """Run it in bubblewrap; without that as the farm's user, unless a sandbox is required.

        Raises `PlatformUnavailableError` where one is required and there is none, and `OSError`.
        """
        if not self._isolates():
            return process_tree.run(command, directory, environment, bounds, on_output, access.place)
        view = _view((*self.readable, *access.readable), access)
        try:
            return self._started(command, directory, environment, bounds, on_output, access.place, view)
        finally:
            purge(access.place, links=not access.lasting)
            if access.lasting:
                _give(access.place, os.getuid())  # it belongs to no user of the sandbox's any more

    def _isolates(self) -> bool:
        """Whether there is a sandbox. Raises `PlatformUnavailableError` where one is required and there is none."""
        isolation = bubblewrap.isolation()
        if not isolation.bubblewrap and self.required:
            raise PlatformUnavailableError("sandbox", isolation.lacks, "apt-get install bubblewrap")
        return isolation.bubblewrap

    def _started(
        self,
        command: Sequence[str],
        directory: Path,
        environment: Mapping[str, str],
        bounds: Bounds,
        on_output: Callable[[bytes], None],
        measured: Path,
        view: View,
    ) -> ProcessExit:
        uid = bubblewrap.own_uid()
        if uid is not None:
            for each in view.write:
                _give(each, uid)
        limits = self._limits(bounds)
        program = TRUSTED / "jobs" / "sandbox" / "drop_privileges.py"
        dropped = json.dumps(_dropped(uid, view, limits, directory))
        inside = [sys.executable, "-I", str(program), dropped, *command]
        return _supervised(
            bubblewrap.launch(inside, view), _environment(environment), limits, bounds, on_output, measured
        )

    def _limits(self, bounds: Bounds) -> SandboxLimits:
        return SandboxLimits(
            memory_bytes=self.memory_bytes,
            processes=self.processes,
            tasks=_BURST * self.processes,
            file_bytes=bounds.disk_bytes,
            log_bytes=_LOG_BYTES,
            time_s=bounds.seconds,
        )


def _dropped(uid: int | None, view: View, limits: SandboxLimits, directory: Path) -> dict[str, object]:
    return {
        "uid": uid,
        "groups": sorted({node.stat().st_gid for node in view.devices if node.exists()} - {0}),
        "file_bytes": limits.file_bytes,
        "open_files": limits.open_files,
        "cpu_s": limits.cpu_s,
        "processes": limits.tasks if bubblewrap.counts_processes() else None,
        "directory": str(directory),
    }


def _supervised(
    launch: SandboxCommand,
    environment: Mapping[str, str],
    limits: SandboxLimits,
    bounds: Bounds,
    on_output: Callable[[bytes], None],
    measured: Path,
) -> ProcessExit:
    with tempfile.TemporaryDirectory(prefix="farm-printed-") as place:
        printed = Path(place) / "printed"
        with Supervised(launch, environment, limits, printed, {}, Path(place)) as process, printed.open("rb") as log:
            ended = _followed(process, bounds, measured, lambda: _hand_on(log.read, on_output))
        with printed.open("rb") as log:
            first = log.readline(_BLOCK).decode(errors="replace").strip()
            log.seek(ended.read)
            _hand_on(log.read, on_output)
    if ended.exit.exit_code == _NO_PROGRAM and first.startswith(UNSEEN):
        told = first.removeprefix(UNSEEN)
        return ProcessExit(None, problem=f"{told} in the sandbox; add its directory to [sandbox] read of the profile")
    return ended.exit


@dataclass(frozen=True, slots=True)
class _End:
    """How a command ended, and how much of what it printed has been handed on."""

    exit: ProcessExit
    read: int


def _followed(process: Supervised, bounds: Bounds, measured: Path, hand_on: Callable[[], int]) -> _End:
    """Wait for its end, or for a limit that it exceeds. The caller ends it then."""
    deadline, read = time.monotonic() + bounds.seconds, 0
    while True:
        ended = process.wait(_LOOK_S)
        assert ended is not None, "nothing else ends the wait"
        read += hand_on()
        if not ended.hung:
            return _End(_exit_of(ended), read)
        used = process_tree.size_of(measured)
        if time.monotonic() > deadline:
            return _End(ProcessExit(None, Stop.TIME), read)
        if used > bounds.disk_bytes:
            return _End(ProcessExit(None, Stop.QUOTA, used_bytes=used), read)
        if _free(measured) < _LEAST_FREE_BYTES:
            return _End(ProcessExit(None, Stop.DISK), read)


def _exit_of(ended: SandboxExit) -> ProcessExit:
    if ended.over:
        return ProcessExit(None, Stop.LIMIT, over=ended.over)
    return ProcessExit(ended.code)


def _hand_on(read: Callable[[int], bytes], on_output: Callable[[bytes], None]) -> int:
    total = 0
    while data := read(_BLOCK):
        total += len(data)
        on_output(data)
    return total


def _view(readable: Sequence[Path], access: Access) -> View:
    needs = [ascend_container.needs(device, os.environ) for device in access.devices]
    shown = [path for path in readable if path.exists()]
    shown += [path for each in needs for path in (*each.read, *each.python)]
    read = {**trusted_packages(), **{path: path for path in shown}}
    nodes = dict.fromkeys(node for each in needs for node in each.devices)
    return View(read, {access.place: access.place}, tuple(nodes), network=access.network)


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """`given` with a home inside; one that is the farm's own is not shown, so it would only mislead."""
    own = bubblewrap.environment({}, _HOME)
    kept = {name: value for name, value in given.items() if name != "HOME" or value != os.environ.get("HOME")}
    # Programs of a directory that is not shown, of a home for example, are found where the farm's own Python is.
    kept["PATH"] = os.pathsep.join(filter(None, [kept.get("PATH"), own["PATH"]]))
    # pytest would load the farm's plugin where it finds the farm's Python, and the farm is not shown.
    kept["PYTEST_ADDOPTS"] = " ".join(filter(None, [kept.get("PYTEST_ADDOPTS"), "-p no:farm"]))
    return {"HOME": _HOME, "TMPDIR": _HOME, "USER": "farm", "LANG": "C.UTF-8", **kept}


def _give(directory: Path, uid: int) -> None:
    """Make `uid` the owner of all that lies below `directory`, and of itself."""
    for parent, names, files in os.walk(directory):
        os.chown(parent, uid, uid)
        for name in (*names, *files):
            os.chown(Path(parent) / name, uid, uid, follow_symlinks=False)


def purge(directory: Path, *, links: bool = True) -> None:
    """Delete every pipe, socket and device below `directory`, and every link unless `links` is false."""
    for parent, names, files in os.walk(directory):
        for name in (*names, *files):
            path = Path(parent) / name
            with contextlib.suppress(FileNotFoundError):
                mode = path.lstat().st_mode
                kept = stat.S_ISREG(mode) or stat.S_ISDIR(mode) or (stat.S_ISLNK(mode) and not links)
                if not kept:
                    path.unlink()


def _free(directory: Path) -> int:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize
