"""How a foreign program is kept apart: the command that starts it, and what that command does not isolate.

With bubblewrap the process has namespaces of its own: no network, no other process in sight, and of the file system
only the system, the Python installation, the farm's `kernel` and `jobs` packages and its own few files, all read-only
but for a small tmpfs and the files it answers in. No home, no token, no store, no other run. It is started with an
empty environment.

Where the farm runs as root, the program gets a user id that nobody else has, so that the limit on processes holds for
it (the kernel exempts root) and a way out of the namespaces would not lead to root. Anyone else has a user namespace,
in which bubblewrap lets no further one be made.

A filter of system calls (`system_calls`) and, where the farm has any, a cgroup for each process (`cgroup`) come on top.
"""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jobs.sandbox import cgroup, held_memory, system_calls
from jobs.sandbox.limits import SandboxCommand

TRUSTED = Path("/run/farm/trusted")  # the farm's own packages, inside
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime")
_NETWORK_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl", "/etc/ca-certificates")
_NETWORK_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl", "/etc/ca-certificates")
_NAMESPACES = ("--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try")
_FIRST_UID, _UIDS = 1_800_000_000, 100_000_000  # far above what accounts and containers use
_IN_MEMORY = ("/tmp", "/dev/shm")
_CLOSED = ("--unshare-user", "--disable-userns")
_TRY_TIMEOUT_S = 20.0
# Since Linux 5.14 a user namespace counts its own processes; before, the limit would count all of the farm's account.
_COUNTS_PER_NAMESPACE = (5, 14)


@dataclass(frozen=True, slots=True)
class Gap:
    """A means that this machine lacks although bubblewrap works."""

    means: str
    why: str  # one line, as are the others
    leaves: str  # what holds in its place, or does not
    remedy: str


@dataclass(frozen=True, slots=True)
class Isolation:
    """What keeps a foreign program apart on this machine."""

    bubblewrap: bool
    lacks: str  # what is not isolated and why, one line; "" where everything is
    gaps: tuple[Gap, ...] = ()

    def __str__(self) -> str:
        if not self.bubblewrap:
            return f"none: {self.lacks}"
        return "".join(["bubblewrap", *(f", without {gap.means} ({gap.why})" for gap in self.gaps)])


@dataclass(frozen=True, slots=True)
class View:
    """What a confined process sees besides the system and Python. Paths are those of the host."""

    read: Mapping[Path, Path] = field(default_factory=dict)  # path inside → on the host, read-only
    write: Mapping[Path, Path] = field(default_factory=dict)  # the same, files it may write
    devices: Sequence[Path] = ()  # device nodes, the same path inside
    scratch_bytes: int = 64 << 20  # of /tmp, which is its own and in memory
    shared_memory_bytes: int = 256 << 20
    network: bool = False  # that of the machine; else none


@functools.cache
def isolation() -> Isolation:
    """Whether bubblewrap is here and works, found by starting something with it once a process."""
    found = shutil.which("bwrap")
    nothing = "network, home, other runs' files and the number of processes are not isolated"
    if found is None:
        return Isolation(False, f"bubblewrap is not installed, so {nothing}")
    try:
        done = subprocess.run(
            command(["/usr/bin/true"], View()), capture_output=True, timeout=_TRY_TIMEOUT_S, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Isolation(False, f"bubblewrap does not work here ({error}), so {nothing}")
    if done.returncode != 0:
        return Isolation(False, f"bubblewrap does not work here ({_first_line(done)}), so {nothing}")
    return Isolation(True, "", _gaps())


def launch(inside: Sequence[str], view: View) -> SandboxCommand:
    """`inside` in a sandbox that sees `view`, bounded by all that this machine has for it."""
    made, _ = system_calls.compiled(shared_mappings=_counts_shared_mappings())
    return SandboxCommand(command(inside, view), made, subtree().path, _IN_MEMORY)


def bare(inside: Sequence[str]) -> SandboxCommand:
    """`inside` where no sandbox can be had; a cgroup bounds it where there is one."""
    return SandboxCommand(inside, subtree=subtree().path)


@functools.cache
def subtree() -> cgroup.Subtree:
    """The cgroups that the farm may use here, found and prepared once a process."""
    return cgroup.find(os.environ)


def command(inside: Sequence[str], view: View) -> list[str]:
    """`inside` as a command in a sandbox that sees `view`. The caller starts it with `environment`."""
    arguments = ["bwrap", "--die-with-parent", "--new-session", *_NAMESPACES]
    if not view.network:
        arguments.append("--unshare-net")
    if os.getuid() != 0:
        arguments += _CLOSED[:1] if _leaves_namespaces_open() else _CLOSED
    reads = {**{path: path for path in _visible()}, **view.read}
    if view.network:
        reads |= {path: path for path in map(Path, _NETWORK_FILES) if path.exists()}
    # Before whatever is bound below it: an installation may lie in /tmp.
    arguments += ["--perms", "1777", "--size", str(view.scratch_bytes), "--tmpfs", "/tmp"]
    # Parents first and readable: bubblewrap makes those of a bind for root alone.
    for parent in _parents([*reads, *view.write, *view.devices]):
        arguments += ["--perms", "0755", "--dir", str(parent)]
    for path in map(Path, _SYSTEM):
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            arguments += ["--ro-bind", str(path), str(path)]
    for inner, outer in reads.items():
        arguments += ["--ro-bind", str(outer), str(inner)]
    arguments += ["--dev", "/dev", "--proc", "/proc"]
    if not _counts_shared_mappings():
        # It reads as zeros as well. A shared mapping of /dev/zero is one without a file.
        arguments += ["--dev-bind", "/dev/full", "/dev/zero"]
    arguments += ["--perms", "1777", "--size", str(view.shared_memory_bytes), "--tmpfs", "/dev/shm"]
    for inner, outer in view.write.items():
        arguments += ["--bind", str(outer), str(inner)]
    for device in view.devices:
        arguments += ["--dev-bind-try", str(device), str(device)]
    # A file system in memory as well, with no size of its own.
    return [*arguments, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp", "--", *inside]


def environment(variables: Mapping[str, str], home: str) -> dict[str, str]:
    """All of the environment a confined process starts with: nothing of the farm's but the search path."""
    own = str(Path(sys.executable).parent)
    return {
        "PATH": os.pathsep.join([own, "/usr/local/bin", "/usr/bin", "/bin"]),
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
        "USER": "farm",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        **variables,
    }


def own_uid() -> int | None:
    """A user id for one confined process; None where the farm does not run as root and cannot assign one."""
    return _FIRST_UID + secrets.randbelow(_UIDS) if os.getuid() == 0 else None


def counts_processes() -> bool:
    """Whether a limit on processes set inside would count those of the sandbox alone."""
    numbers = os.uname().release.split("-")[0].split(".")[:2]
    return os.getuid() == 0 or tuple(int(number) for number in numbers if number.isdigit()) >= _COUNTS_PER_NAMESPACE


@functools.cache
def _leaves_namespaces_open() -> str:
    """Why this bubblewrap cannot forbid more user namespaces inside; "" where it can, as since version 0.8."""
    trial = ["bwrap", *_CLOSED, "--ro-bind", "/", "/", "/usr/bin/true"]
    try:
        done = subprocess.run(trial, capture_output=True, timeout=_TRY_TIMEOUT_S, check=False, text=True)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else _first_line(done)


def _first_line(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0]


def _gaps() -> tuple[Gap, ...]:
    """What is missing here beside bubblewrap."""
    found = []
    unfiltered = system_calls.compiled()[1]
    if unfiltered:
        leaves = "a program may call all of Linux, and hold memory on ways that nothing sees"
        found.append(Gap("a filter of system calls", unfiltered, leaves, "apt-get install libseccomp2"))
    if os.getuid() != 0 and (why := _leaves_namespaces_open()):
        leaves = "a program can make more user namespaces" if unfiltered else "only the filter refuses namespaces"
        found.append(Gap("--disable-userns", why, leaves, "install bubblewrap 0.8 or newer"))
    if (here := subtree()).path is None:
        found.append(Gap("a cgroup", here.lacks, _without_cgroup(), cgroup.remedy()))
    return tuple(found)


def _without_cgroup() -> str:
    """What bounds memory and processors in place of a cgroup."""
    shared = "" if _counts_shared_mappings() else ", shared mappings without a file are refused"
    return f"memory is summed ten times a second{shared}; processors are not shared out"


@functools.cache
def _counts_shared_mappings() -> bool:
    """Whether a shared mapping without a file counts in full, also where its owner has unmapped most of it."""
    if subtree().path is not None:
        return True
    return held_memory.sees_shared_memory(*(Path(f"/proc/self/{name}").read_text() for name in ("status", "uid_map")))


def _visible() -> list[Path]:
    """Of the host: what Python and the dynamic linker need, as far as it is there and not below the system's."""
    python = [Path(sys.prefix), Path(sys.base_prefix), Path(sysconfig.get_paths()["purelib"])]
    python += [Path(sys.executable).resolve().parent.parent]
    found = [path for path in map(Path, _SYSTEM_FILES) if path.exists()]
    for path in python:
        if not any(path.is_relative_to(seen) for seen in [Path("/usr"), *found]):
            found.append(path)
    return found


def _parents(paths: Iterable[Path]) -> list[Path]:
    parents = {parent for path in paths for parent in path.parents} - {Path("/"), Path("/tmp")}
    below = [Path(each) for each in (*_SYSTEM, "/dev", "/proc")]
    return sorted(parent for parent in parents if not any(parent.is_relative_to(each) for each in below))
