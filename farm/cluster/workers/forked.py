"""Has the workers of a Ray that is started here forked from a process that has loaded torch."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from farm.cluster import ray_internals
from farm.cluster.workers import fork_server, launcher
from farm.process import installation

_LONGEST = 100  # bytes of a socket's path that every system takes
_EVERY_WORKER = (
    *("torch", "numpy", "numpy.typing", "safetensors.torch", "zoneinfo", "psutil", "tomllib"),
    *("pydantic.main", "pydantic.fields", "pydantic.types", "pydantic._internal._validators"),
    # Ray's
    *("asyncio", "logging.handlers", "packaging.version", "pdb", "secrets", "html"),
    *("google.protobuf.descriptor_pb2", "google.protobuf.json_format", "google.protobuf.timestamp_pb2"),
    *("colorama", "filelock", "jsonschema", "msgpack", "requests", "setproctitle", "tqdm.auto", "yaml"),
)
_SIMULATED = ("pypto",)  # on a machine with NPUs it may open them, which a process that is forked must not have done
_OWN = ("farm.leasing.preloaded",)
_END_S = 5.0  # its end is at hand, unless it is still loading


@contextlib.contextmanager
def workers(simulated: bool, *, lasting: bool = False) -> Iterator[None]:
    """Have every Ray that is started within the block fork its workers; the server ends with the block.

    Started before Ray, the server loads its modules while Ray starts. A cluster that is `lasting` may be used by later
    versions of the farm, so the server loads nothing of the farm's own.
    """
    with server(modules(simulated, lasting=lasting)) as path, used(path):
        yield


def modules(simulated: bool, *, lasting: bool = False) -> list[str]:
    """Return what the server loads for workers on such devices."""
    return [*_EVERY_WORKER, *(_SIMULATED if simulated else ()), *(() if lasting else _OWN)]


@contextlib.contextmanager
def server(loaded: Sequence[str]) -> Iterator[Path | None]:
    """Run a fork server that loads the modules `loaded` within the block.

    Yields its socket, None where its path would be too long.
    """
    directory = Path(tempfile.mkdtemp(prefix="farm-fork-"))
    path = directory / "socket"
    if len(os.fsencode(path)) > _LONGEST:  # each worker loads everything itself then
        directory.rmdir()
        yield None
        return
    ending, lifeline = os.pipe()
    try:
        with _server(path, ending, loaded):
            yield path
    finally:
        os.close(lifeline)
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def used(path: Path | None) -> Iterator[None]:
    """Have every node of Ray that is started within the block fork its workers from the server at `path`."""
    if path is None:
        yield
        return
    before = os.environ.get(launcher.SOCKET)
    os.environ[launcher.SOCKET] = str(path)
    try:
        with ray_internals.worker_script(launcher.__file__):
            yield
    finally:
        os.environ.pop(launcher.SOCKET, None)
        if before is not None:
            os.environ[launcher.SOCKET] = before


@contextlib.contextmanager
def _server(path: Path, ending: int, loaded: Sequence[str]) -> Iterator[None]:
    request = fork_server.ForkServerRequest(socket=str(path), modules=list(loaded), lifeline=ending)
    with (path.parent / "log").open("wb") as log, _no_interrupts():
        server = subprocess.Popen(
            installation.module_command("farm.cluster.workers.fork_server", request.model_dump_json()),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **installation.absolute_python_path(os.environ)},
            pass_fds=[ending],
        )
    os.close(ending)
    try:
        yield
    finally:
        server.terminate()
        try:
            server.wait(_END_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@contextlib.contextmanager
def _no_interrupts() -> Iterator[None]:
    """Within it, start processes that Ctrl-C does not reach, as Ray starts its own."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
