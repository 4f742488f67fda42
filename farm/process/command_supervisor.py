"""Runs one command with this process's own input and output, and leaves nothing of it behind. A program of its own.

`farm.process.foreground` starts it, and holds the other end of a pipe. A number of seconds from the pipe, or its end,
which comes with the end of the starting process, ends the command: SIGTERM to all it has started, then SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time

from kernel.harness import supervisor

_LOOK_S = 0.05
_ALONE_S = 5.0  # between SIGTERM and SIGKILL, where nobody is left to say
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # as shells do


def main(lifeline: int, command: list[str]) -> int:
    """Run `command`, and return its exit code; 128 and the number of a signal that has ended it, as shells do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which the terminal sends it as well
    supervisor.adopt_orphans()
    try:
        child = _started(command)
    except OSError as error:
        print(f"farm: {command[0]}: {error.strerror}", file=sys.stderr)
        return _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
    code, patience_s = _watch(child, lifeline)
    supervisor.end_tree(patience_s)
    code = supervisor.reaped(child) if code is None else code
    return 128 + signal.SIGKILL if code is None else 128 - code if code < 0 else code


def _started(command: list[str]) -> int:
    def before() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        supervisor.die_with_parent()

    started = subprocess.Popen(command, preexec_fn=before)
    started.returncode = 0  # reaped with all that it leaves; Popen is not to wait for it
    return started.pid


def _watch(child: int, lifeline: int) -> tuple[int | None, float]:
    """The command's exit code, or None where it is to be ended; and the seconds between SIGTERM and SIGKILL."""
    while True:
        if (code := supervisor.reaped(child)) is not None:
            return code, 0.0
        if select.select([lifeline], [], [], _LOOK_S)[0]:
            told = os.read(lifeline, 64)
            patience_s = _ALONE_S
            with contextlib.suppress(ValueError):
                patience_s = float(told)
            return _last_look(child), patience_s


def _last_look(child: int) -> int | None:
    """The code of a command that has ended in the same moment."""
    time.sleep(_LOOK_S)
    return supervisor.reaped(child)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
