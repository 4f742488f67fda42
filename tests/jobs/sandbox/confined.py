"""A few lines of Python in the sandbox, without the farm's packages: what a program tries once it has the process."""

from __future__ import annotations

import dataclasses
import json
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from jobs.sandbox import bubblewrap
from jobs.sandbox.bubblewrap import View
from jobs.sandbox.limits import SandboxCommand, SandboxExit, SandboxLimits, Supervised
from jobs.sandbox.scratch import trusted_packages

LIMITS = SandboxLimits(memory_bytes=64 << 20, processes=64, scratch_bytes=96 << 20, time_s=60)
_BEGIN = """
import ctypes, errno, fcntl, json, mmap, os, resource, signal, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def holds():
    print("holding", flush=True)
    time.sleep(3600)
"""


@dataclass(frozen=True, slots=True)
class Tried:
    """How such a process ended, and what it printed."""

    ended: SandboxExit
    printed: str


def launch(source: str, limits: SandboxLimits = LIMITS) -> SandboxCommand:
    """The command for `source` in a sandbox."""
    dropped: dict[str, object] = {
        "uid": bubblewrap.own_uid(),
        "groups": [],
        "file_bytes": limits.file_bytes,
        "open_files": limits.open_files,
        "cpu_s": limits.cpu_s,
        "processes": limits.processes if bubblewrap.counts_processes() else None,
        "directory": "/tmp",
    }
    program = bubblewrap.TRUSTED / "jobs" / "sandbox" / "drop_privileges.py"
    inside = [sys.executable, "-I", "-c", _BEGIN + textwrap.dedent(source)]
    view = View(trusted_packages(), scratch_bytes=limits.scratch_bytes)
    return bubblewrap.launch([sys.executable, "-I", str(program), json.dumps(dropped), *inside], view)


def tried(source: str, place: Path, limits: SandboxLimits = LIMITS, *, filtered: bool = True) -> Tried:
    """Run `source` to its end or to a limit, without the filter of system calls where that is asked for."""
    command = launch(source, limits)
    if not filtered:
        command = dataclasses.replace(command, filter=b"")
    log = place / "printed"
    with Supervised(command, bubblewrap.environment({}, "/tmp"), limits, log, {}, place) as process:
        ended = process.wait(limits.time_s)
    assert ended is not None
    return Tried(ended, log.read_text())
