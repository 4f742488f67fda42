"""The lock of a device that other queues of the same machine respect: one file a device, held with flock(2).

The queue `task-submit` and its `npu-lock` keep such files: `npu_device_<index>.lock`, mode 0666, with one line on who
holds it, "pid=… user=… time=…". A process that ends, however it does, releases its locks: the kernel closes its files.
Where `$FARM_DEVICE_LOCKS` names no directory, no lock is taken and none is looked at.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pwd
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from farm.text import one_line
from farm.timestamps import now

VARIABLE = "FARM_DEVICE_LOCKS"  # environment variable with the directory of the lock files
_POLL_S = 0.1
_KEPT_BYTES = 300  # of what a holder writes into its file
_HOLDER = re.compile(r"pid=(?P<pid>\d{1,10})(?: user=(?P<user>\S+))?(?: time=(?P<time>\S+))?")
_OURS = "by=npu-farm"

_held: set[int] = set()  # file descriptors


def _close_in_child() -> None:
    """A forked child that outlives the holder must not keep its locks; a program it executes never has them."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)


class DeviceLock:
    """The lock of one device of this machine, for as long as this process lives."""

    def __init__(self, index: int) -> None:
        """`index` is the device's physical one."""
        self._index = index
        self._descriptor: int | None = None

    def take(self, patience_s: float, on_wait: Callable[[str], None] = lambda obstacle: None) -> str:
        """Hold the lock from now on, and return ""; or return why not, in a few words, after `patience_s`.

        `on_wait` is called with the same words meanwhile. There is nothing to take where the guard is off, or where a
        parent of this process holds the lock, as when `task-submit` has started it.
        """
        end = time.monotonic() + patience_s
        while True:
            obstacle = self._attempt()
            if not obstacle or time.monotonic() >= end:
                return obstacle
            on_wait(obstacle)
            time.sleep(_POLL_S)

    def release(self) -> None:
        """Let others have the device. Safe to call twice, and in a forked child, which holds nothing."""
        if self._descriptor in _held:
            _held.remove(self._descriptor)
            os.close(self._descriptor)
        self._descriptor = None

    @property
    def held(self) -> bool:
        """Whether this process holds it; False where the guard is off."""
        return self._descriptor is not None

    def _attempt(self) -> str:
        if self._descriptor is not None or not os.environ.get(VARIABLE):
            return ""
        try:
            descriptor = _locked(_path(self._index), fcntl.LOCK_EX)
        except _LockedError as error:
            return "" if error.by_parent else error.words
        except OSError as error:
            return _unusable(error)
        line = f"pid={os.getpid()} user={_user()} time={now()} {_OURS}\n"
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, line.encode(), 0)
        _held.add(descriptor)
        self._descriptor = descriptor
        return ""


def obstacle(index: int, patience_s: float = 0.0, *, own: bool = True) -> str:
    """Return why device `index` cannot be locked now, in a few words; "" where it can, or the guard is off.

    Looks again for `patience_s`. Without `own` a lock that a farm holds is none.
    """
    end = time.monotonic() + patience_s
    while os.environ.get(VARIABLE):
        try:
            os.close(_locked(_path(index), fcntl.LOCK_SH))  # shared: two that look do not see each other
            return ""
        except _LockedError as error:
            if error.by_parent or (error.by_farm and not own):
                return ""
            found = error.words
        except OSError as error:
            found = _unusable(error)
        if time.monotonic() >= end:
            return found
        time.sleep(_POLL_S)
    return ""


class _LockedError(Exception):
    """Somebody else holds the lock."""

    def __init__(self, line: str) -> None:
        """`line` is what the file says of its holder, who need not have written anything."""
        told = _HOLDER.match(line)
        pid = int(told["pid"]) if told else 0
        self.by_farm = _OURS in line
        self.by_parent = pid in {parent.pid for parent in psutil.Process().parents()}
        self.words = f"locked by {_described(told, pid)}"


def _described(told: re.Match[str] | None, pid: int) -> str:
    if told is None:
        return "an unknown process, which has left no name in the file"
    user = one_line(told["user"] or "somebody", 40)
    if not psutil.pid_exists(pid):
        return f"an unknown process; the file names pid {pid} of {user}, which does not run here"
    since = f", since {one_line(told['time'], 40)}" if told["time"] else ""
    return f"{user} (pid {pid}{since})"


def _locked(path: Path, kind: int) -> int:
    """A descriptor of `path` with a lock on it. Raises `_LockedError`, and `OSError` where the file cannot be used."""
    while True:
        descriptor = _opened(path)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            if _is_still(path, descriptor):
                return descriptor
        except BlockingIOError:
            line = os.pread(descriptor, _KEPT_BYTES, 0).decode(errors="replace")
            os.close(descriptor)
            raise _LockedError(line) from None
        os.close(descriptor)  # somebody has put another file in its place, and the lock on this one is worth nothing


def _opened(path: Path) -> int:
    """A descriptor of the lock file, which is made where it is missing. Raises `OSError`."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.suppress(FileNotFoundError):  # made by another user, it may not be opened with O_CREAT in /tmp
        return _plain(os.open(path, flags), path)
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return _plain(os.open(path, flags), path)
    os.fchmod(descriptor, 0o666)  # the other users of the machine lock it too, whatever our umask
    return descriptor


def _plain(descriptor: int, path: Path) -> int:
    """`descriptor`, where it is of a plain file with one name: the directory is everybody's to write."""
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it must be a plain file with one name", str(path))


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        there = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))


def _path(index: int) -> Path:
    """The lock file of device `index`. Raises `OSError` where the directory cannot be one."""
    directory = Path(os.environ[VARIABLE])
    if not directory.is_absolute() or not directory.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{VARIABLE} must name a directory by its full path", str(directory))
    return directory / f"npu_device_{index}.lock"


def _unusable(error: OSError) -> str:
    return one_line(f"cannot be locked: {error.filename}: {error.strerror}")


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())  # an account of a container, without a name
