"""Asks for processes that start with torch and a platform loaded; see `jobs.warm.server`."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from jobs.warm import server

_SERVER = Path(server.__file__)
# numpy and torch would start threads of their own as they are imported, and a fork copies only one.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_ANSWER_S = 60.0  # an answer takes milliseconds, or a fork of many GB on a machine that swaps


class WarmProcessError(Exception):
    """The process that is forked could not load, or has died."""


@dataclass(frozen=True, slots=True)
class WarmProcess:
    """One process that has been started, and the connection to it."""

    pid: int
    connection: Connection
    _kill: Callable[[], int]

    def end(self) -> int:
        """End it where it still runs; return its exit code, a signal negated. To be called once."""
        self.connection.close()
        return self._kill()


class WarmServer:
    """Starts processes; the first one waits until everything is loaded. Several threads may call it."""

    def __init__(self, modules: Sequence[str], load: Callable[[], Any], log: Path) -> None:
        """`modules` are imported and `load`, which must be picklable, is called before the first process is started.

        What any of the processes prints is appended to `log`.
        """
        self._modules = list(modules)
        self._load = load
        self._log = log
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._is_ready = False

    def start(self) -> None:
        """Begin to load, where that has not begun; `process` waits for it. Raises `OSError`."""
        with self._lock:
            self._start()

    def process(self, module: str, name: str, arguments: Sequence[Any] = ()) -> WarmProcess:
        """Call `module.name(connection, loaded, *arguments)` in a process of its own, and return that process.

        Raises `WarmProcessError`, `OSError`.
        """
        with self._lock:
            self._start()
            self._wait_ready()
            ours, theirs = socket.socketpair()
            with ours, theirs:
                answer = self._ask(server.FORK, theirs.fileno())
                if answer.startswith(server.THREADS):
                    pid, kill = self._use_up(theirs.fileno())
                else:
                    pid = int(answer[len(server.FORKED) :])
                    kill = self._killer(pid)
                connection = Connection(ours.detach())
        connection.send((module, name, tuple(arguments)))
        return WarmProcess(pid, connection, kill)

    def has_loaded(self, files: Iterable[Path]) -> bool:
        """Return whether one of `files` is a module that every process starts with, so that an edit needs `stop`."""
        with self._lock:
            if self._control is None or not self._is_ready:
                return False
            words = json.dumps([str(file.resolve()) for file in files]).encode()
            return len(words) > server.PACKET_BYTES // 2 or self._ask(server.LOADED + words) == b"yes"

    def stop(self) -> None:
        """End it and all its forks; the next `process` starts it again. Safe to call twice."""
        with self._lock:
            self._stop()

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._stop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, self._log.open("ab") as printed:
            self._process = subprocess.Popen(
                [sys.executable, str(_SERVER), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                env={**os.environ, **dict.fromkeys(_ONE_THREAD, "1")},
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the process that decides
            )
        self._control = ours
        ours.send(json.dumps({"path": [str(each) for each in sys.path], "modules": self._modules}).encode())
        ours.send(pickle.dumps(self._load))

    def _wait_ready(self) -> None:
        if self._is_ready:
            return
        assert self._control is not None
        self._control.settimeout(None)  # imports and a first build of the calculator take what they take
        answer = self._control.recv(server.PACKET_BYTES)
        if answer != server.READY:
            self._stop()
            why = answer.removeprefix(server.FAILED).decode(errors="replace") or f"see {self._log}"
            raise WarmProcessError(f"the process that has the simulator loaded did not start: {why}")
        self._control.settimeout(_ANSWER_S)
        self._is_ready = True

    def _ask(self, packet: bytes, descriptor: int | None = None) -> bytes:
        assert self._control is not None
        try:
            socket.send_fds(self._control, [packet], [] if descriptor is None else [descriptor])
            answer = self._control.recv(server.PACKET_BYTES)
        except OSError as error:
            raise WarmProcessError(f"the process that has the simulator loaded does not answer: {error}") from error
        if not answer:
            self._stop()
            raise WarmProcessError(f"the process that has the simulator loaded has died; see {self._log}")
        return answer

    def _use_up(self, descriptor: int) -> tuple[int, Callable[[], int]]:
        """Let the server itself be the process; the next one needs another server."""
        assert self._control is not None and self._process is not None
        socket.send_fds(self._control, [server.BECOME], [descriptor])
        process = self._process
        self._control.close()
        self._process, self._control, self._is_ready = None, None, False
        return process.pid, lambda: _ended(process)

    def _killer(self, pid: int) -> Callable[[], int]:
        of = self._process

        def kill() -> int:
            with self._lock:
                if self._control is None or self._process is not of:
                    return -signal.SIGKILL  # it ended with its server
                return int(self._ask(server.END + str(pid).encode())[len(server.ENDED) :])

        return kill

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()  # it ends its forks, and itself
        if self._process is not None:
            try:
                self._process.wait(5.0 if self._is_ready else 0.0)
            except subprocess.TimeoutExpired:
                _ended(self._process)
        self._process, self._control, self._is_ready = None, None, False


def _ended(process: subprocess.Popen[bytes]) -> int:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()
