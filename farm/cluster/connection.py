"""The Ray cluster a run uses: a local one with simulated devices, or one that is already there.

Ray's `NPU` resource is the only record of which devices exist and who holds them; this module asks Ray and keeps
nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import ray
from ray.exceptions import RayError

from farm.cluster import endpoint_check, local, ray_internals
from farm.cluster.head_watchdog import HeadWatchdog
from farm.errors import InfrastructureError, UsageError

# A server of the kind the kernels run on carries eight NPUs, so that is what a laptop simulates.
SIMULATED_DEVICES = 8
_MAX_SIMULATED_DEVICES = 1024

# Node labels the farm reads; `ray start --labels` sets them.
SOC_LABEL = "soc"
NODE_LABEL = "farm-node"


_abandoned = threading.Event()


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
    """
    if ray.is_initialized():
        with _watched() as held:
            yield held
        return
    _quieten()
    where = endpoint_check.resolved(address) if address else "local"
    own = local.at(where)
    with ray_internals.token_from(own.token if own else None):
        if address:
            endpoint_check.require(where)
        devices = {"NPU": simulated_devices()} if simulated and not address else None
        on_terminate = signal.getsignal(signal.SIGTERM)
        watch: HeadWatchdog | None = None
        try:
            with ray_internals.on_loopback(own is not None or where == "local"):
                _start(where, devices)
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_terminate)  # Ray has put its own in place, which aborts the process
            with _watched() as watch:
                yield watch
        finally:
            if watch is not None and watch.lost:
                _abandoned.set()  # a shutdown would wait for the head until Ray aborts the process
            else:
                ray.shutdown()


def abandoned() -> bool:
    """Whether a connection was left open because its cluster lost its head; then the process must not exit politely.

    Ray's own handlers wait for the head at exit, until Ray aborts the process with exit code 1.
    """
    return _abandoned.is_set()


@contextlib.contextmanager
def _watched() -> Iterator[HeadWatchdog]:
    watch = HeadWatchdog(ray.get_runtime_context().gcs_address)
    try:
        yield watch
    finally:
        watch.stop()


def _start(where: str, devices: dict[str, int] | None) -> None:
    """`ray.init`, its failures as ours. Without an address, "local" included, it would join any cluster it finds."""
    dashboard = False if where == "local" else None
    try:
        ray.init(
            address=where,
            resources=devices,
            include_dashboard=dashboard,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, ValueError, RuntimeError, RayError) as error:
        first_line = str(error).strip().split("\n")[0]
        if where == "local":
            raise InfrastructureError(f"Ray does not start on this machine: {first_line}") from error
        raise InfrastructureError(f"the Ray cluster at {where} cannot be joined: {first_line}") from error


def shared(address: str | None) -> bool:
    """Whether others may be using the cluster too; one that `connected` starts is private."""
    return address is not None or ray.is_initialized()


def nodes() -> dict[str, Node]:
    """The live nodes by Ray's node id."""
    alive = [entry for entry in ray.nodes() if entry["Alive"]]
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
    return int(ray.available_resources().get("NPU", 0))


def _quieten() -> None:
    """Nothing calls home, and a machine without Ascend's libraries is not worth a traceback."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    logging.getLogger("ray._private.accelerators.npu").setLevel(logging.CRITICAL)
