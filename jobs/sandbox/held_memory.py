"""Sums the memory that Linux holds for the processes of a sandbox, where no control group does.

The resident size of a process is not all of it. Files in memory and shared mappings stay without a process that maps
them, and pipes and sockets hold what nobody has read yet. Everything here is read from `/proc`, from outside. Where the
exact number is not to be read the largest possible one counts: a limit must not be passed by.

What is left out are small objects of the kernel, such as file locks and watches. Only a control group counts these.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

PROC = Path("/proc")
_KIB = 1024
_BLOCK = 512  # of `st_blocks`
_INODE_BYTES = 1024  # a file in memory without contents takes about this much
_PIPE_PAGES = 16  # that a pipe holds unless its size is changed, which the filter of system calls refuses
_IN_MEMORY = ("/memfd:", "/dev/zero (deleted)", "/SYSV")  # how a shared mapping without a file system is shown
_OF_PROCESS = ("RssAnon", "RssFile", "VmSwap", "VmPTE", "HugetlbPages")
_SOCKET_TABLES = ("unix", "tcp", "tcp6", "udp", "udp6")
_UNPRIVILEGED_CAPABILITIES = (19, 21)  # CAP_SYS_PTRACE to see another user's files, CAP_SYS_ADMIN its mappings


@dataclass(slots=True)
class _Seen:
    """What is held, each object once."""

    private: int = 0  # of single processes
    mapped: int = 0  # shared, as far as it is mapped
    objects: dict[tuple[int, int], int] = field(default_factory=dict)  # files in memory: device and inode → bytes
    mounts: dict[int, int] = field(default_factory=dict)  # file systems in memory: device → bytes
    pipes: set[str] = field(default_factory=set)
    sockets: set[str] = field(default_factory=set)
    tables: dict[str, int] = field(default_factory=dict)  # network namespace → bytes
    hidden: bool = False  # whether a shared mapping's whole size could not be read

    def total(self, pipe_bytes: int, socket_bytes: int) -> int:
        """All of it, in bytes."""
        shared = sum(self.objects.values()) + sum(self.mounts.values())
        kernel = len(self.pipes) * pipe_bytes + max(len(self.sockets) * socket_bytes, sum(self.tables.values()))
        return self.private + shared + (self.mapped if self.hidden else 0) + kernel


def held(pids: Iterable[int], mounts: Iterable[str], *, filtered: bool, proc: Path = PROC) -> int:
    """Return how many bytes Linux holds for processes, at least; those that have ended count nothing.

    Args:
        pids: All processes of one sandbox.
        mounts: Where it has file systems in memory, as it sees them.
        filtered: Whether the filter keeps pipes and send buffers at the size that they begin with, and the threads of a
            process at one table of open files.
        proc: Where procfs is mounted.
    """
    seen = _Seen()
    pages = _PIPE_PAGES * resource.getpagesize()
    pipe_bytes = pages if filtered else max(pages, _number(proc / "sys/fs/pipe-max-size"))
    # A socket takes a message as long as its buffer is not full, and the message may be as large as that.
    socket_bytes = 2 * _number(proc / "sys/net/core" / ("wmem_default" if filtered else "wmem_max"))
    for pid in pids:
        process = proc / str(pid)
        _add_sizes(seen, process)
        _add_mappings(seen, process)
        _add_files(seen, process, every_thread=not filtered)
        _add_network(seen, process, socket_bytes, proc)
        for mount in mounts:
            _add_mount(seen, process, mount)
    return seen.total(pipe_bytes, socket_bytes)


def sees_shared_memory(status: str, uid_map: str) -> bool:
    """Whether this process can read how much a shared mapping holds that its owner has unmapped in part.

    Args:
        status: Of `/proc/self/status`.
        uid_map: Of `/proc/self/uid_map`; the rights of root in a user namespace do not suffice.
    """
    first = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    capabilities = int(first, 16)
    initial = uid_map.split() == ["0", "0", str(0xFFFFFFFF)]
    return initial and all(capabilities >> bit & 1 for bit in _UNPRIVILEGED_CAPABILITIES)


def _add_sizes(seen: _Seen, process: Path) -> None:
    with contextlib.suppress(OSError):
        for line in (process / "status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in _OF_PROCESS:
                seen.private += int(value.split()[0]) * _KIB
            elif name == "RssShmem":
                seen.mapped += int(value.split()[0]) * _KIB


def _add_mappings(seen: _Seen, process: Path) -> None:
    with contextlib.suppress(OSError):
        text = (process / "maps").read_text(errors="replace")
        if not any(kind in text for kind in _IN_MEMORY):
            return  # torch alone has thousands of lines
        for line in text.splitlines():
            parts = line.split(maxsplit=5)
            if len(parts) < 6 or not parts[5].startswith(_IN_MEMORY):
                continue
            first, _, last = parts[0].partition("-")
            try:
                _add_object(seen, process / "map_files" / f"{int(first, 16):x}-{int(last, 16):x}")
            except PermissionError:
                seen.hidden = True
            except FileNotFoundError:  # unmapped just now: the next look finds what holds it
                continue


def _add_files(seen: _Seen, process: Path, *, every_thread: bool) -> None:
    """Of every thread, or of the first that has not ended: it may be the main one that has."""
    with contextlib.suppress(OSError):
        for thread in (process / "task").iterdir():
            files = list((thread / "fd").iterdir())
            for file in files:
                _add_file(seen, file)
            if files and not every_thread:
                return


def _add_file(seen: _Seen, file: Path) -> None:
    with contextlib.suppress(OSError):
        target = str(file.readlink())
        if target.startswith("pipe:"):
            seen.pipes.add(target)
        elif target.startswith("socket:"):
            seen.sockets.add(target)
        elif target.startswith(_IN_MEMORY):
            _add_object(seen, file)


def _add_object(seen: _Seen, file: Path) -> None:
    found = file.stat()
    seen.objects[found.st_dev, found.st_ino] = found.st_blocks * _BLOCK


def _add_mount(seen: _Seen, process: Path, mount: str) -> None:
    """The use of a file system that the process has for itself."""
    with contextlib.suppress(OSError):
        inside = process / "root" / mount.lstrip("/")
        device = inside.stat().st_dev
        if device != Path(mount).stat().st_dev:
            use = os.statvfs(inside)
            files = max(0, use.f_files - use.f_ffree)
            seen.mounts[device] = (use.f_blocks - use.f_bfree) * use.f_frsize + files * _INODE_BYTES


def _add_network(seen: _Seen, process: Path, socket_bytes: int, proc: Path) -> None:
    """Sockets of a network namespace of its own. It has those as well that are on the way from process to process."""
    with contextlib.suppress(OSError):
        namespace = str((process / "ns/net").readlink())
        if namespace in seen.tables or namespace == str((proc / "self/ns/net").readlink()):
            return
        seen.tables[namespace] = sum(_table_bytes(process, table, socket_bytes, proc) for table in _SOCKET_TABLES)


def _table_bytes(process: Path, table: str, socket_bytes: int, proc: Path) -> int:
    try:
        lines = (process / "net" / table).read_text(errors="replace").splitlines()[1:]
    except OSError:
        return 0
    if table == "unix":
        return len(lines) * socket_bytes
    queues = [line.split()[4].split(":") for line in lines]
    if table.startswith("udp"):
        return sum(int(received, 16) for _, received in queues)
    # Of TCP the queue is shown without what its parts take: where there is one, it counts as full.
    full = sum(_number(proc / "sys/net/ipv4" / name) for name in ("tcp_rmem", "tcp_wmem"))
    return full * sum(int(sent, 16) + int(received, 16) > 0 for sent, received in queues)


def _number(file: Path) -> int:
    """The last number in a file of the kernel's settings, the largest one; 0 where there is none."""
    try:
        return int(file.read_text().split()[-1])
    except (OSError, ValueError, IndexError):
        return 0
