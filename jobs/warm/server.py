"""The process that is forked. Started as `python server.py FD`; FD is a socket to the process that asks for forks.

The first packet names Python's path and the modules to import, the second is a pickled function, whose result every
fork gets. Then each packet asks for one thing and gets one answer. This process ends with the one that asks.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import pickle
import random
import signal
import socket
import sys
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

FORK, BECOME, END, LOADED = b"fork", b"become", b"end ", b"loaded "  # what may be asked
READY, FAILED, FORKED, THREADS, ENDED = b"ready", b"failed ", b"pid ", b"threads ", b"ended "  # the answers
PACKET_BYTES = 1 << 16

_PR_SET_PDEATHSIG = 1
_TASKS = Path("/proc/self/task")


def main(descriptor: int) -> None:
    """Load, then answer until the other end of the socket is closed."""
    control = socket.socket(fileno=descriptor)
    loaded = _load(control)
    children: set[int] = set()
    try:
        while True:
            packet, descriptors, _, _ = socket.recv_fds(control, PACKET_BYTES, 1)
            if not packet:
                return
            if packet == BECOME:
                control.close()
                _work(descriptors[0], loaded)
            control.send(_answer(packet, descriptors, control, loaded, children))
    finally:
        for child in children:
            _end(child)


def _load(control: socket.socket) -> Any:
    """Import and load what the first two packets name, and tell how that went."""
    first = json.loads(control.recv(PACKET_BYTES))
    sys.path[:] = first["path"]
    try:
        for module in first["modules"]:
            importlib.import_module(module)
        loaded = pickle.loads(control.recv(PACKET_BYTES))()
    except Exception as error:  # noqa: BLE001 - told, in one line, to whoever waits
        traceback.print_exc()
        control.send(FAILED + f"{type(error).__name__}: {error}".encode()[: PACKET_BYTES // 2])
        sys.exit(1)
    gc.collect()
    gc.freeze()  # a collection in a fork would copy the pages of everything that is loaded
    control.send(READY)
    return loaded


def _answer(packet: bytes, descriptors: list[int], control: socket.socket, loaded: Any, children: set[int]) -> bytes:
    if packet.startswith(LOADED):
        mine = {str(Path(file).resolve()) for each in list(sys.modules.values()) if (file := _file(each))}
        return b"yes" if mine & set(json.loads(packet[len(LOADED) :])) else b"no"
    if packet.startswith(END):
        child = int(packet[len(END) :])
        children.discard(child)
        return ENDED + str(_end(child)).encode()
    threads = len(list(_TASKS.iterdir())) if _TASKS.is_dir() else 0
    if threads != 1:
        os.close(descriptors[0])
        return THREADS + str(threads).encode()
    child = os.fork()
    if not child:
        control.close()
        os.setsid()
        with contextlib.suppress(OSError):
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _work(descriptors[0], loaded)
    os.close(descriptors[0])
    children.add(child)
    return FORKED + str(child).encode()


def _work(descriptor: int, loaded: Any) -> None:
    """Do the one thing that comes through `descriptor`. Never returns."""
    code = 1
    try:
        random.seed()
        connection = Connection(descriptor)
        module, name, arguments = connection.recv()
        getattr(importlib.import_module(module), name)(connection, loaded, *arguments)
        code = 0
    except EOFError:
        code = 0  # whoever wanted this process has gone
    except BaseException:  # noqa: BLE001 - kept in the log; nothing above here may go on in a fork
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _end(child: int) -> int:
    """Kill a fork and its group where it still runs; return its exit code, a signal negated."""
    ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        deadline = time.monotonic() + 0.2  # one that has closed its socket is about to end by itself
        while not ended and time.monotonic() < deadline:
            time.sleep(0.002)
            ended, status = os.waitpid(child, os.WNOHANG)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    if not ended:
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _file(module: Any) -> str | None:
    return getattr(module, "__file__", None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
