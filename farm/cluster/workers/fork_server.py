"""The process from which workers are forked: `python -m farm.cluster.workers.fork_server REQUEST`.

It loads what every worker needs: torch, PyPTO for simulated devices, and the farm's own packages where the cluster ends
with one command. Where a cluster stays up they may change, so each worker loads them itself; and it always loads Ray,
which reads the environment of its worker while it is loaded. Forking is safe because nothing loaded here has started a
thread; where something has, the server refuses, and each worker then loads everything itself.

It ends with the process that started it, and a worker ends with the process that Ray started for it (`launcher`).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import random
import resource
import runpy
import selectors
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from farm.cluster.workers.launcher import LENGTH, read_once
from jobs.records import Record

_BACKLOG = 1024
_SINGLE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # no threads before a fork; a worker has one as well


class ForkServerRequest(Record):
    """What the server is to do."""

    socket: str  # path it listens at
    modules: list[str]  # to load; those that are not installed are passed over
    lifeline: int  # file descriptor that is at its end when the server has to go


class WorkerRequest(Record):
    """One worker, as `launcher` asks for it."""

    words: list[str]  # script and arguments
    environment: dict[str, str]
    directory: str
    files: tuple[int, int]  # limits on open files
    blocked: list[int]  # signals


class ForkServer:
    """Forks a worker for each connection, and reports to it how the worker has ended."""

    def __init__(self, listening: socket.socket, lifeline: int, started_with: Mapping[str, str]) -> None:
        """`started_with` is the environment in which the modules were loaded."""
        self._read_once = read_once(started_with)
        self._listening = listening
        self._lifeline = lifeline
        self._selector = selectors.DefaultSelector()
        self._workers: dict[int, socket.socket] = {}  # by process
        self._woken, waking = socket.socketpair()
        for end in (self._woken, waking):
            end.setblocking(False)
        self._waking = waking

    def serve(self) -> WorkerRequest | None:
        """Serve until the lifeline is at its end; then return None.

        In each forked process, return the request that it is to carry out.
        """
        signal.signal(signal.SIGCHLD, lambda signum, frame: None)
        signal.set_wakeup_fd(self._waking.fileno(), warn_on_full_buffer=False)
        for readable in (self._listening, self._lifeline, self._woken):
            self._selector.register(readable, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj == self._lifeline:
                    return None
                if key.fileobj is self._listening:
                    request = self._accept()
                    if request is not None:
                        return request
                elif key.fileobj is self._woken:
                    self._bury()
                else:
                    self._abandon(key.fileobj)

    def _accept(self) -> WorkerRequest | None:
        connection, _ = self._listening.accept()
        connection.settimeout(5.0)  # a launcher sends all at once
        files: list[int] = []
        try:
            head, files, _, _ = socket.recv_fds(connection, LENGTH.size, 3)
            asked = WorkerRequest.model_validate_json(_exactly(connection, LENGTH.unpack(head)[0]))
        except (OSError, ValueError):
            connection.close()
            _close(files)
            return None
        if read_once(asked.environment) != self._read_once or _threads() > 1 or len(files) < 3:
            connection.close()
            _close(files)
            return None
        return self._fork(asked, connection, files)

    def _fork(self, asked: WorkerRequest, connection: socket.socket, files: Sequence[int]) -> WorkerRequest | None:
        worker = os.fork()
        if worker:
            _close(files)
            self._workers[worker] = connection
            self._selector.register(connection, selectors.EVENT_READ)
            with contextlib.suppress(OSError):  # the launcher is gone; `_abandon` hears of it
                connection.sendall(b"+")
            return None
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        for mine in (connection, *self._workers.values(), self._listening, self._woken, self._waking):
            mine.close()
        os.close(self._lifeline)
        for number, file in enumerate(files):
            os.dup2(file, number)
        _close(files)
        return asked

    def _bury(self) -> None:
        """Tell the launchers of workers that have ended."""
        with contextlib.suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                connection = self._workers.pop(ended[0])
                with contextlib.suppress(KeyError):  # its launcher was killed
                    self._selector.unregister(connection)
                with connection, contextlib.suppress(OSError):
                    connection.sendall(LENGTH.pack(ended[1]))

    def _abandon(self, connection: Any) -> None:
        """End the worker whose launcher has been killed."""
        for worker, at in self._workers.items():  # none where it has ended a moment ago
            if at is connection:
                self._selector.unregister(connection)
                os.kill(worker, signal.SIGKILL)


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        piece = connection.recv(length - len(data))
        if not piece:
            raise ValueError("the launcher sent less than it said")
        data += piece
    return bytes(data)


def _close(files: Sequence[int]) -> None:
    for file in files:
        os.close(file)


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def _load(modules: Sequence[str]) -> None:
    for module in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    gc.collect()
    gc.freeze()  # so that the workers' collections write to no page that is shared


def _become(request: WorkerRequest) -> None:
    """Be what `python SCRIPT ARGUMENTS` would have been."""
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.directory)
    resource.setrlimit(resource.RLIMIT_NOFILE, request.files)
    signal.pthread_sigmask(signal.SIG_SETMASK, request.blocked)
    random.seed()
    sys.argv[:] = request.words
    sys.path.insert(0, str(Path(request.words[0]).parent))
    runpy.run_path(request.words[0], run_name="__main__")


@contextlib.contextmanager
def _listening(path: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(path)
        listening.listen(_BACKLOG)
        yield listening


def main(asked: ForkServerRequest) -> None:
    """Serve as `asked`; in a forked process, be the worker."""
    started_with = dict(os.environ)
    os.environ.update(_SINGLE)
    with _listening(asked.socket) as listening:  # launchers that come meanwhile wait
        _load(asked.modules)
        worker = ForkServer(listening, asked.lifeline, started_with).serve()
    if worker is not None:
        _become(worker)


if __name__ == "__main__":
    main(ForkServerRequest.model_validate_json(sys.argv[1]))
