"""Work for the processes of `jobs.warm`."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing.connection import Connection
from typing import Any


def load() -> dict[str, int]:
    """What every process gets."""
    return {"loaded_in": os.getpid()}


def load_with_thread() -> dict[str, int]:
    """The same, with a thread that no fork would have."""
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    return load()


def load_nothing() -> None:
    raise ImportError("no simulator here")


def echo(connection: Connection, loaded: dict[str, int], word: str) -> None:
    connection.send({**loaded, "pid": os.getpid(), "word": word})
    connection.recv()


def crash(connection: Connection, loaded: Any) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def fail(connection: Connection, loaded: Any) -> None:
    raise ValueError("of the work")


def hang(connection: Connection, loaded: Any) -> None:
    connection.send(os.getpid())
    threading.Event().wait()
