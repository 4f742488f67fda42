"""What Ray starts in place of its own worker script: asks the fork server for the worker, and waits for its end.

`import torch` alone costs two seconds of CPU in each process. A worker that is forked from a process in which it is
loaded costs a tenth of that. Where no fork server answers, or where the worker wants an environment that libraries read
while they are loaded and the server was started with another one, this process becomes the worker itself, as Ray's own
script would.

Imports the standard library alone, because each worker starts it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Mapping
from pathlib import Path

SOCKET = "FARM_FORK_SERVER"  # environment variable with the server's socket
LENGTH = struct.Struct("!I")
# Variables that the interpreter and libraries read when they are loaded.
_READ_ONCE = ("PYTHON", "LD_", "OMP_", "GOMP_", "KMP_", "OPENBLAS_", "MKL_", "TORCH", "PYTORCH_", "MALLOC_", "VIRTUAL")
# Read at each `breakpoint()`. A driver sets it as it connects, so nodes that it starts before and after differ in it.
_READ_LATER = ("PYTHONBREAKPOINT",)


def read_once(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the part of `environment` that a forked process cannot change any more."""
    return {
        name: value for name, value in environment.items() if name.startswith(_READ_ONCE) and name not in _READ_LATER
    }


def worker_script() -> str:
    """Return the path of Ray's own script for workers, found without importing Ray."""
    package = importlib.util.find_spec("ray")
    assert package is not None and package.origin is not None, "Ray has started this process"
    return str(Path(package.origin).parent / "_private" / "workers" / "default_worker.py")


def main() -> int:
    """Return the exit code of the worker, as a shell would tell it."""
    words = [worker_script(), *sys.argv[1:]]
    server = connected(os.environ.get(SOCKET, ""))
    status = None if server is None else forked(server, words)
    if status is None:
        os.execv(sys.executable, [sys.executable, *words])
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def connected(path: str) -> socket.socket | None:
    """Return a connection to the server at `path`; None where nobody listens there."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.connect(path)
    except OSError:
        server.close()
        return None
    return server


def forked(server: socket.socket, words: list[str]) -> int | None:
    """Have `server` fork a worker with this process's files, and wait for it.

    Returns:
        How it ended, as `os.waitpid` reports it; None where there is none, because the server refused or is gone.
    """
    request = {
        "words": words,
        "environment": dict(os.environ),
        "directory": str(Path.cwd()),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "blocked": [int(each) for each in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    }
    data = json.dumps(request).encode()
    try:
        socket.send_fds(server, [LENGTH.pack(len(data))], [0, 1, 2])
        server.sendall(data)
        answer = server.recv(1)
        if answer != b"+":
            return None
        ended = server.recv(LENGTH.size, socket.MSG_WAITALL)
    except OSError:
        return None
    return LENGTH.unpack(ended)[0] if len(ended) == LENGTH.size else 0


if __name__ == "__main__":
    sys.exit(main())
