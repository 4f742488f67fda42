"""Ray clusters on this machine, whose workers are forked as those of the farm's own clusters are."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from farm.cluster import patience
from farm.cluster.workers import forked
from tests.processes import importing_tests

HEAD = {"num_cpus": 2, "include_dashboard": False}


@contextlib.contextmanager
def local(devices: int) -> Iterator[str]:
    """A Ray of one node with so many simulated devices, with this process connected to it; its address."""
    import ray

    logging.getLogger("ray._private.accelerators.npu").setLevel(logging.CRITICAL)
    with forked.workers(simulated=True):
        patience.started(
            lambda: ray.init(
                address="local",  # or Ray joins the cluster of a test that runs beside this one
                num_cpus=2,
                resources={"NPU": devices},
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        )
        try:
            yield str(ray.get_runtime_context().gcs_address)
        finally:
            ray.shutdown()


@contextlib.contextmanager
def standing(devices: int, site: Path) -> Iterator[str]:
    """A Ray of one node with simulated devices that runs on its own; nobody is connected to it. Yields its address.

    Its workers can import `tests`, and find what is installed in `site`. Nothing else that is started meanwhile is
    changed by it.
    """
    from ray.cluster_utils import Cluster

    logging.getLogger("ray._private.accelerators.npu").setLevel(logging.CRITICAL)
    head = {**HEAD, "resources": {"NPU": devices}}
    with importing_tests(site), contextlib.ExitStack() as stack:
        with forked.used(stack.enter_context(forked.server(forked.modules(simulated=True)))):
            started = patience.started(lambda: Cluster(initialize_head=True, head_node_args=head))
        after = stack.pop_all()
    with after:
        try:
            yield started.address
        finally:
            started.shutdown()


@contextlib.contextmanager
def cluster(nodes: int = 0, per_node: int = 2, address: str = "") -> Iterator[Any]:
    """A head without devices and nodes "n0", "n1" … of `per_node` devices each, with this process connected to it.

    They have the IP `address` of this machine, where one is given.
    """
    import ray
    from ray.cluster_utils import Cluster

    logging.getLogger("ray._private.accelerators.npu").setLevel(logging.CRITICAL)
    with forked.workers(simulated=True):
        where = {"node_ip_address": address} if address else {}
        started = patience.started(lambda: Cluster(initialize_head=True, head_node_args=HEAD | where))
        try:
            for number in range(nodes):
                add_node(started, number, per_node)
            ray.init(address=started.address, log_to_driver=False, logging_level=logging.ERROR)
            yield started
        finally:
            ray.shutdown()
            started.shutdown()


def add_node(started: Any, number: int, devices: int = 2, **labels: str) -> Any:
    """Start node "n<number>" of the cluster `started`."""
    wanted = {"resources": {"NPU": devices}, "labels": {"farm-node": f"n{number}", **labels}}
    wanted |= {"node_ip_address": started.address.rpartition(":")[0]}
    return patience.started(lambda: started.add_node(num_cpus=2, include_dashboard=False, **wanted))
