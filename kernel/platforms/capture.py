"""Everything a piece of code prints, into a file: from Python, from C++ and from child processes alike."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

_STDOUT, _STDERR = 1, 2
_LIBC = ctypes.CDLL(None)


@contextmanager
def captured(log: Path) -> Iterator[None]:
    """Append stdout and stderr to `log` for as long as the context lasts.

    Redirects the file descriptors, which native code and children write to, and Python's two streams as well, which
    need not lead there (in a notebook, under pytest). One process can capture one thing at a time. Everything is put
    back also when the code inside raises.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    _flush()
    saved = [os.dup(_STDOUT), os.dup(_STDERR)]
    with log.open("a", buffering=1) as file:
        os.dup2(file.fileno(), _STDOUT)
        os.dup2(file.fileno(), _STDERR)
        try:
            with redirect_stdout(file), redirect_stderr(file):
                yield
        finally:
            _flush()
            for descriptor, original in zip((_STDOUT, _STDERR), saved, strict=True):
                os.dup2(original, descriptor)
                os.close(original)


def _flush() -> None:
    """Empty Python's and C's buffers, so that no line ends up on the other side of a switch."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # None under pythonw and in some daemons
            stream.flush()
    _LIBC.fflush(None)
