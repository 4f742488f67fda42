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

from farm.errors import InfrastructureError, UsageError

# A server of the kind the kernels run on carries eight NPUs, so that is what a laptop simulates.
SIMULATED_DEVICES = 8
_MAX_SIMULATED_DEVICES = 1024


@dataclass(frozen=True, slots=True)
class Node:
    """One live node of the cluster."""

    id: str  # Ray's node id
    name: str  # host name, made unique with a piece of the id where several nodes share a host
    address: str
    npus: int


def simulated_devices() -> int:
    """Devices of a local simulated cluster: `$FARM_SIM_DEVICES`, or eight. Raises `UsageError`."""
    text = os.environ.get("FARM_SIM_DEVICES", str(SIMULATED_DEVICES))
    if not text.isdecimal() or not 1 <= int(text) <= _MAX_SIMULATED_DEVICES:
        raise UsageError(f"FARM_SIM_DEVICES is '{text}'; use a number from 1 to {_MAX_SIMULATED_DEVICES}")
    return int(text)


@contextlib.contextmanager
def connected(address: str | None, simulated: bool) -> Iterator[None]:
    """Connect to the cluster at `address`, or start a local one that ends with the block.

    A local cluster has `simulated_devices()` devices for a simulated platform and the NPUs Ray finds for a real one.
    Raises `InfrastructureError` where no cluster answers at `address`. A connection that is already there is used as it
    is and left open.
    """
    if ray.is_initialized():
        yield
        return
    _quieten()
    on_terminate = signal.getsignal(signal.SIGTERM)
    try:
        if address is None:
            devices = {"NPU": simulated_devices()} if simulated else None
            ray.init(resources=devices, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = address or "this machine"
        first_line = str(error).strip().split("\n")[0]
        message = f"no Ray cluster at {where}: {first_line}; start one with `ray start --head`"
        raise InfrastructureError(message) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_terminate)  # Ray has put its own in place, which aborts the process
    try:
        yield
    finally:
        ray.shutdown()


def nodes() -> dict[str, Node]:
    """The live nodes by Ray's node id."""
    alive = [entry for entry in ray.nodes() if entry["Alive"]]
    sharing = Counter(entry["NodeManagerHostname"] for entry in alive)
    found = {}
    for entry in alive:
        host = entry["NodeManagerHostname"]
        name = host if sharing[host] == 1 else f"{host}-{entry['NodeID'][:4]}"
        npus = int(entry["Resources"].get("NPU", 0))
        found[entry["NodeID"]] = Node(entry["NodeID"], name, entry["NodeManagerAddress"], npus)
    return found


def device_count() -> int:
    """Devices of all live nodes, leased or not."""
    return int(ray.cluster_resources().get("NPU", 0))


def free_count() -> int:
    """Devices nobody holds right now."""
    return int(ray.available_resources().get("NPU", 0))


def _quieten() -> None:
    """Nothing calls home, and a machine without Ascend's libraries is not worth a traceback."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    logging.getLogger("ray._private.accelerators.npu").setLevel(logging.CRITICAL)
