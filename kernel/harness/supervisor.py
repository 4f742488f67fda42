"""Runs one command and everything it starts, and leaves nothing of it behind. A program of its own.

It is not a child of the worker, so that killing the worker with all its children does not kill it; it is the reaper
of all that the command starts, so that a process that detaches itself stays in its tree; and it watches a pipe from the
worker, so that the tree ends with the worker, however that ends. `kernel.harness.process_tree` starts it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time

import psutil

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LOOK_S = 0.05
_GIVE_UP_S = 10.0  # a process stuck in a driver dies of no signal, and must not take us along


def main(control: int, status: int, stop_s: float, file_bytes: int, command: list[str]) -> None:
    """Run `command`; tell `status` how it ended, as one line of JSON. Ends it early when `control` says so."""
    if os.fork():
        os._exit(0)
    os.setsid()
    adopt_orphans()
    try:
        child = _started(command, file_bytes)
    except OSError as error:
        _tell(status, {"exit": None, "problem": f"{command[0]}: {error.strerror}"})
        return
    ended, asked = _watch(child, control)
    left = _names() if ended is not None and not asked else []
    stuck = end_tree(stop_s if asked else 0.0)
    code = ended if ended is not None else reaped(child)
    _tell(status, {"exit": code, "left": left, "stuck": stuck})


def _started(command: list[str], file_bytes: int) -> int:
    def before() -> None:
        die_with_parent()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

    started = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=before)
    started.returncode = 0  # reaped here, with all the others; Popen is not to wait for it
    return started.pid


_codes: dict[int, int] = {}  # of every process that was reaped


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            _codes[pid] = os.waitstatus_to_exitcode(status)


def adopt_orphans() -> None:
    """Become the parent of every process below this one whose own parent ends, detached ones too."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Have the kernel kill this process as soon as its parent ends, however it does."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def reaped(child: int) -> int | None:
    """The exit code of `child`, negative for a signal; None while it runs. Reaps all children."""
    _reap()
    return _codes.get(child)


def _watch(child: int, control: int) -> tuple[int | None, bool]:
    """The command's exit code, or None and True where it was asked to end it: by a byte, or by the end of the pipe."""
    while True:
        code = reaped(child)
        if code is not None:
            return code, False
        if select.select([control], [], [], _LOOK_S)[0]:
            return reaped(child), True


def _tree() -> list[psutil.Process]:
    children: list[psutil.Process] = psutil.Process().children(recursive=True)
    return children


def _names() -> list[str]:
    """What the command left running, as a person knows it."""
    names = []
    for process in _tree():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE:
                names.append(" ".join(process.cmdline())[:120] or process.name())
    return names


def end_tree(stop_s: float) -> list[str]:
    """Kill all that is below this process, after SIGTERM and `stop_s` of patience; the names of what does not die."""
    begin = time.monotonic()
    if stop_s:
        _signal(signal.SIGTERM)
    while time.monotonic() - begin < stop_s + _GIVE_UP_S:
        _reap()
        if not _tree():
            return []
        if time.monotonic() - begin >= stop_s:
            _signal(signal.SIGKILL)
        time.sleep(_LOOK_S)
    return _names()


def _signal(number: int) -> None:
    for process in _tree():
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


def _tell(status: int, ended: dict[str, object]) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        os.write(status, json.dumps(ended).encode() + b"\n")


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
