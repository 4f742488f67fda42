"""A Ray cluster of several nodes on this machine, for trying out runs over many nodes without having them.

One process holds all nodes (`farm.cluster.local_nodes`); a record below `$FARM_HOME` says which, precisely enough that
nobody else's process is ever ended for it. Everything listens on 127.0.0.1 only and asks for a token.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import Field, ValidationError

from farm import paths
from farm.errors import InfrastructureError, UsageError
from farm.process import device_lock, identity, installation, termination
from farm.process.identity import ProcessIdentity
from jobs.records import Record

DEFAULT_PORT = 26379  # Ray's own default with a 2 before it, so that both can run side by side
LOCK_TIMEOUT_S = 5.0
START_TIMEOUT_S = 180.0  # for each node; one takes 1 to 3 s on an idle machine, a minute on a full one
DIRECTORY = "FARM_CLUSTER"  # environment variable with the record's directory, in place of `$FARM_HOME/cluster`
VISIBLE = "ASCEND_RT_VISIBLE_DEVICES"  # of somebody's programs on real NPUs; it would limit what Ray may simulate
OF_REAL_DEVICES = (VISIBLE, device_lock.VARIABLE)  # what simulated devices are started without
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class ClusterRequest(Record):
    """What `farm.cluster.local_nodes` is to start."""

    nodes: int
    devices: int  # simulated NPUs of each node
    soc: str  # chip the nodes are labelled with; "" for no label
    port: int  # of the head
    report_to: int  # file descriptor
    until: ProcessIdentity | None = None  # the nodes end with this process; None: with `down` alone


class LocalNode(Record):
    """One node that has started."""

    number: int
    devices: int
    processes: list[ProcessIdentity]  # those without which it is none

    @property
    def alive(self) -> bool:
        """Whether all of its processes run."""
        return not any(process.gone() for process in self.processes)


class LocalCluster(Record):
    """The local cluster that is up, or was."""

    address: str
    soc: str
    holder: ProcessIdentity  # the process that holds the nodes, and leads the session they run in
    token: Path
    scratch: Path  # Ray's sockets and logs
    members: list[ProcessIdentity] = Field(default_factory=list)  # of the session, when the last node came up
    nodes: list[LocalNode] = Field(default_factory=list)  # empty until all are up


def up(
    nodes: int,
    devices: int,
    soc: str,
    port: int,
    started: Callable[[LocalNode], None],
    *,
    until: ProcessIdentity | None = None,
) -> LocalCluster:
    """Start a cluster; `started` is called with each node. Interrupted or failed, nothing of it is left.

    It ends with `down`, and with the process `until` where that is given, however it dies.

    Raises `UsageError` where one is up already or the port is taken, and `InfrastructureError` where a node does not
    start.
    """
    with _only_one():
        before = read()
        if before is not None and before.nodes and not before.holder.gone():
            raise UsageError(f"a local cluster is up already at {before.address}; `farm cluster down` ends it")
        if before is not None:
            _remove(before)
        _require_free(port)
        request = ClusterRequest(nodes=nodes, devices=devices, soc=soc, port=port, report_to=0, until=until)
        return _start(request, started)


def down() -> LocalCluster | None:
    """End the cluster and remove what it leaves; None where there was none."""
    with _only_one():
        found = read()
        if found is not None:
            _remove(found)
        return found


def read() -> LocalCluster | None:
    """The cluster that was started and not yet taken down, alive or not. Raises `UsageError` for a broken record."""
    try:
        return LocalCluster.model_validate_json(_record().read_text())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise UsageError(f"{_record()} is no record of a local cluster; remove it") from error


def at(address: str) -> LocalCluster | None:
    """The local cluster if `address` is its own, however this machine is called in it."""
    host, _, port = address.rpartition(":")
    found = read() if host in LOOPBACK else None
    return found if found is not None and found.address.rpartition(":")[2] == port else None


def log() -> Path:
    """Return what the nodes printed while they started."""
    return _directory() / "nodes.log"


def _start(request: ClusterRequest, started: Callable[[LocalNode], None]) -> LocalCluster:
    _directory().mkdir(parents=True, exist_ok=True, mode=0o700)
    token = _directory() / "token"
    with os.fdopen(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    scratch = Path(tempfile.mkdtemp(prefix="farm-cluster-"))  # not in $FARM_HOME: a socket's path must be short
    reading, writing = os.pipe()
    with os.fdopen(reading) as report:
        process = _launch(request.model_copy(update={"report_to": writing}), token, scratch)
        cluster = LocalCluster(
            address=f"127.0.0.1:{request.port}",
            soc=request.soc,
            holder=identity.of(process.pid),
            token=token,
            scratch=scratch,
        )
        nodes = []
        try:
            _write(cluster)  # before anything can go wrong, so that `down` finds it whatever becomes of this process
            for node in _reported(report, process, request.nodes):
                nodes.append(node)
                started(node)
                cluster = cluster.model_copy(update={"members": termination.members(cluster.holder)})
                _write(cluster)
            cluster = cluster.model_copy(update={"nodes": nodes})
            _write(cluster)
        except BaseException:
            _remove(cluster)
            process.wait()
            raise
    process.returncode = 0  # it is to outlive this process, and nobody here will wait for it
    return cluster


def _launch(request: ClusterRequest, token: Path, scratch: Path) -> subprocess.Popen[bytes]:
    """Start the process that holds the nodes, in a session of its own: Ctrl-C is not for it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    environment = {key: value for key, value in environment.items() if key not in OF_REAL_DEVICES}
    environment |= installation.absolute_python_path(environment) | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_TMPDIR": str(scratch),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # where Ray knows no clusters it listens on 127.0.0.1 only
    }
    try:
        with log().open("wb") as output:
            return subprocess.Popen(
                installation.module_command("farm.cluster.local_nodes", request.model_dump_json()),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                pass_fds=[request.report_to],
                start_new_session=True,
            )
    finally:
        os.close(request.report_to)


def _reported(report: Iterator[str], process: subprocess.Popen[bytes], nodes: int) -> Iterator[LocalNode]:
    """Each node as it comes up."""
    for number in range(nodes):
        overdue = threading.Timer(START_TIMEOUT_S, process.kill)
        overdue.daemon = True  # an interrupt may come before `cancel` can be promised
        try:
            overdue.start()
            line = next(report, "")
        finally:
            overdue.cancel()
        if not line:
            said = log().read_text(errors="replace").strip().split("\n")[-1]
            raise InfrastructureError(f"node {number} of the local cluster did not start: {said}; see {log()}")
        yield LocalNode.model_validate_json(line)


def _remove(cluster: LocalCluster) -> None:
    """End the nodes with all they have started, and remove the record last."""
    here = identity.current()
    if (cluster.holder.host, cluster.holder.namespace) != (here.host, here.namespace) and not cluster.holder.gone():
        raise UsageError(
            f"the local cluster at {cluster.address} was started on {cluster.holder.host} or in another container; "
            "end it there"
        )
    # Interrupted while it starts a node, Ray takes no notice of SIGTERM; and there is nothing to bring to an end yet.
    termination.end_session(cluster.holder, cluster.members, polite=bool(cluster.nodes))
    shutil.rmtree(cluster.scratch, ignore_errors=True)
    cluster.token.unlink(missing_ok=True)
    _record().unlink(missing_ok=True)


@contextlib.contextmanager
def _only_one() -> Iterator[None]:
    _directory().mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(_directory() / "lock", timeout=LOCK_TIMEOUT_S)
    try:
        lock.acquire()
    except Timeout as error:
        raise UsageError("another `farm cluster` is starting or ending nodes; wait until it has finished") from error
    try:
        yield
    finally:
        lock.release()


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port just given up is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(f"port {port} of this machine is taken; choose another with --port") from error


def _write(cluster: LocalCluster) -> None:
    part = _record().with_suffix(".part")
    part.write_text(cluster.model_dump_json(indent=2))
    part.replace(_record())


def _record() -> Path:
    return _directory() / "cluster.json"


def _directory() -> Path:
    override = os.environ.get(DIRECTORY)
    return Path(override) if override else paths.home() / "cluster"
