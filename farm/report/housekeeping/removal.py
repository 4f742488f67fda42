"""Removing directories and files, so that nobody ever reads half of one."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from farm.errors import InfrastructureError
from kernel.harness import repository_copy

_KINDS = ("builds", "references", "set-ups", "views")  # below the cache, each by content address
_GOING = ".pruned-"  # prefix of what is being removed; the next call removes what a killed one has left


def remove(path: Path) -> None:
    """Remove the directory or file `path`.

    Raises:
        InfrastructureError: It cannot be removed.
    """
    going = path.with_name(f"{_GOING}{path.name}")
    try:
        path.rename(going)
        _delete(going)
    except FileNotFoundError:
        return  # another process was faster
    except OSError as error:
        raise InfrastructureError(f"{path} cannot be removed: {error.strerror}") from error


def finish(parent: Path) -> None:
    """Remove what a call that was killed has left in `parent`."""
    for left in parent.glob(f"{_GOING}*"):
        _delete(left)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        repository_copy.remove(path)  # what a set-up step has made is unwritable
    else:
        path.unlink()


def unused(cache: Path, days: float, now: float | None = None) -> Iterator[tuple[Path, int]]:
    """Yield builds, references and set-ups of suites below `cache` that nobody has read for `days`, with their bytes.

    What is built once on a machine stays: it takes minutes, and there is one of it.
    """
    before = (time.time() if now is None else now) - days * 86400
    for path in (each for kind in _KINDS for each in cache.glob(f"{kind}/*/*")):
        if path.is_symlink() or path.name.startswith(_GOING):
            continue
        files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
        status = [each.lstat() for each in files]  # a directory's own time of access is that of this look
        used = max((max(each.st_mtime, each.st_atime) for each in status), default=0.0)
        if max(used, path.lstat().st_mtime) < before:
            yield path, sum(each.st_size for each in status)


def abandoned_sessions(hours: float = 1.0, now: float | None = None) -> Iterator[tuple[Path, int]]:
    """Yield directories of this user's Ray sessions of which no process is left, with their bytes.

    Only those that have not changed for `hours`: a session that starts has no process for a moment.
    """
    before = (time.time() if now is None else now) - hours * 3600
    used = {word for line in _command_lines() for word in line.replace("=", " ").replace("/", " ").split()}
    root = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) / "ray"
    for path in root.glob("session_*"):
        if path.is_symlink() or not path.is_dir() or path.name in used:
            continue
        status = path.lstat()
        if status.st_uid != os.getuid() or status.st_mtime > before:
            continue
        yield path, sum(each.lstat().st_size for each in path.rglob("*") if each.is_file())


def _command_lines() -> Iterator[str]:
    for process in psutil.process_iter(["cmdline"]):
        yield " ".join(process.info["cmdline"] or [])
