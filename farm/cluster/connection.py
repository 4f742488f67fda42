"""The Ray cluster a run uses: a local one with simulated devices, or one that is already there.

Ray's `NPU` resource is the only record of which devices exist and who holds them; this module asks Ray and keeps
nothing.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import ray

from farm import paths
from farm.cluster import endpoint_check, head_call, head_watchdog, local, patience, ray_internals
from farm.cluster.head_watchdog import HeadWatchdog
from farm.cluster.workers import forked
from farm.errors import InfrastructureError, UsageError
from farm.process import installation, start_limit
from farm.text import one_line

# A server of the kind the kernels run on carries eight NPUs, so that is what a laptop simulates.
SIMULATED_DEVICES = 8
_MAX_SIMULATED_DEVICES = 1024

# Node labels the farm reads; `ray start --labels` sets them.
SOC_LABEL = "soc"
NODE_LABEL = "farm-node"


_OVERLOADED = "the machine may be overloaded: try again when it has less to do"
_SILENT_S = 2.0  # for a shutdown where the head did not answer a moment ago
_SHUTDOWN_S = 6.0  # takes 1.4 s; the rest of a run's end has its own seconds, and a person waits at most ten


@dataclass(frozen=True, slots=True)
class Node:
    """One live node of the cluster."""

    id: str  # Ray's node id
    name: str  # host name with the label "farm-node"; nodes that share a host without one get a piece of their id
    address: str
    npus: int
    soc: str = ""  # label "soc", "" where the node has none


def simulated_devices() -> int:
    """Devices of a local simulated cluster: `$FARM_SIM_DEVICES`, or eight. Raises `UsageError`."""
    text = os.environ.get("FARM_SIM_DEVICES", str(SIMULATED_DEVICES))
    if not text.isdecimal() or not 1 <= int(text) <= _MAX_SIMULATED_DEVICES:
        raise UsageError(f"FARM_SIM_DEVICES is '{text}'; use a number from 1 to {_MAX_SIMULATED_DEVICES}")
    return int(text)


@contextlib.contextmanager
def connected(address: str | None, simulated: bool) -> Iterator[HeadWatchdog]:
    """Connect to the cluster at `address`, or start a local one that ends with the block.

    A local cluster has `simulated_devices()` devices for a simulated platform and the NPUs Ray finds for a real one; it
    listens on 127.0.0.1 only. The token of `farm cluster up`'s is sent without being asked for. Raises `UsageError` for
    a malformed address and `InfrastructureError` where no cluster answers there, or not to us. A connection that is
    already there is used as it is and left open. Yields the watch over the cluster's head.

    Workers do not import from the current directory. Raises `InstallationError` where they might still find the
    packages of the farm elsewhere than this process does.
    """
    installation.require_one()
    for limit in (head_watchdog.lost_after_s, start_limit.limit_s_of_idle):
        limit()  # a value that cannot be used is refused before anything starts
    if ray.is_initialized():
        installation.require_not_in(ray_internals.worker_path())
        with _watched() as held:
            yield held
        return
    _quieten()
    where = endpoint_check.resolved(address) if address else "local"
    own = local.at(where)
    with contextlib.ExitStack() as ours, ray_internals.token_from(own.token if own else None):
        if address:
            endpoint_check.require(where)
        devices = {"NPU": simulated_devices()} if simulated and not address else None
        on_terminate = signal.getsignal(signal.SIGTERM)
        watch: HeadWatchdog | None = None
        try:
            with ray_internals.on_loopback(own is not None or where == "local"), _simulating(bool(devices)):
                if where == "local":
                    ours.enter_context(forked.workers(simulated))
                _start(where, devices)
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_terminate)  # Ray has put its own in place, which aborts the process
            with _watched() as watch:
                yield watch
        finally:
            _disconnect(watch)


def abandoned() -> bool:
    """Whether a connection was left open because its head does not answer; then the process must not exit politely.

    Ray's own handlers wait for the head at exit, until Ray aborts the process with exit code 1.
    """
    return head_call.left()


def _disconnect(watch: HeadWatchdog | None) -> None:
    """Shut Ray down; where its head does not answer, leave it, and end what this process has started of it."""
    if watch is not None and watch.lost:
        head_call.abandon()  # a shutdown would wait for the head until Ray aborts the process
    else:
        with contextlib.suppress(head_call.HeadSilentError):
            silent = watch is not None and watch.silent
            head_call.bounded("disconnect", ray.shutdown, limit_s=_SILENT_S if silent else _SHUTDOWN_S)
            return
    ray_internals.kill_own_nodes()


@contextlib.contextmanager
def _watched() -> Iterator[HeadWatchdog]:
    watch = HeadWatchdog(ray.get_runtime_context().gcs_address, head_watchdog.lost_after_s())
    try:
        yield watch
    finally:
        watch.stop()


@contextlib.contextmanager
def _simulating(wanted: bool) -> Iterator[None]:
    """Within it, the environment has nothing of real NPUs that would limit what Ray may simulate."""
    names = local.OF_REAL_DEVICES if wanted else ()
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)


def _start(where: str, devices: dict[str, int] | None) -> None:
    """`ray.init`, its failures as ours. Without an address, "local" included, it would join any cluster it finds."""
    os.environ.update(installation.absolute_python_path(os.environ))  # workers run in another directory

    def start() -> None:
        with _in_empty_directory():
            ray.init(
                address=where,
                resources=devices,
                include_dashboard=False if where == "local" else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )

    try:
        if where == "local":
            patience.started(start)
        else:
            start()
    except Exception as error:  # Ray raises a bare one for a node that is slow to start, OSError for long names
        raise InfrastructureError(_refusal(where, error)) from error


@contextlib.contextmanager
def _in_empty_directory() -> Iterator[None]:
    """Be in a directory without modules: Ray has its workers import from the directory its driver starts in.

    A `working_dir` in Ray's runtime environment has the same effect, but then no worker process that Ray has started
    ahead can be used, and each costs seconds.
    """
    empty = paths.cache() / "empty"
    empty.mkdir(parents=True, exist_ok=True)
    if found := next(empty.iterdir(), None):
        raise InfrastructureError(f"{empty} must stay empty, because workers import from it; remove {found.name}")
    before = os.open(".", os.O_RDONLY)  # the name of the current directory may be gone, the directory is not
    os.chdir(empty)
    try:
        yield
    finally:
        os.fchdir(before)
        os.close(before)


def _refusal(where: str, error: Exception) -> str:
    """Why Ray cannot be used, in one line with what to do."""
    first_line = one_line(str(error).strip().split("\n")[0]) or type(error).__name__
    if "AF_UNIX" in str(error) or getattr(error, "errno", None) == errno.ENAMETOOLONG:
        place = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
        return (
            f"the name of the directory for temporary files, {place}, is too long for Ray's sockets; set RAY_TMPDIR to "
            "a short one, for example RAY_TMPDIR=/tmp"
        )
    if where != "local":
        return f"the Ray cluster at {where} cannot be joined: {first_line}"
    if patience.too_slow(error):
        return f"Ray did not start within its limit of 30 s, {patience.STARTS} times in a row; {_OVERLOADED}"
    return f"Ray does not start on this machine: {first_line}"


def shared(address: str | None) -> bool:
    """Whether others may be using the cluster too; one that `connected` starts is private."""
    return address is not None or ray.is_initialized()


def nodes() -> dict[str, Node]:
    """The live nodes by Ray's node id. Raises `HeadSilentError`, as everything here that asks the head."""
    alive = [entry for entry in head_call.bounded("list its nodes", ray.nodes) if entry["Alive"]]
    sharing = Counter(entry["NodeManagerHostname"] for entry in alive)
    found = {}
    for entry in alive:
        host, labels = entry["NodeManagerHostname"], entry["Labels"]
        own = labels.get(NODE_LABEL) or (entry["NodeID"][:4] if sharing[host] > 1 else "")
        name = f"{host}-{own}" if own else host
        npus = int(entry["Resources"].get("NPU", 0))
        found[entry["NodeID"]] = Node(
            entry["NodeID"], name, entry["NodeManagerAddress"], npus, labels.get(SOC_LABEL, "")
        )
    return found


def free_count() -> int:
    """Devices nobody holds right now."""
    return int(head_call.bounded("count free devices", ray.available_resources).get("NPU", 0))


def free_by_node() -> dict[str, int]:
    """Devices nobody holds right now, by Ray's node id."""
    free = head_call.bounded("count free devices", ray_internals.available_by_node)
    return {node: int(resources.get("NPU", 0)) for node, resources in free.items()}


def _quieten() -> None:
    """Nothing calls home, and a machine without Ascend's libraries is not worth a traceback."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    logging.getLogger("ray._private.accelerators.npu").setLevel(logging.CRITICAL)
