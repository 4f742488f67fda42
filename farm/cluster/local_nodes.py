"""The process that holds the nodes of a local cluster: `python -m farm.cluster.local_nodes REQUEST`, from `farm cluster
up`.

The nodes are its children, and the kernel ends them with it however it dies. It reports each node that is up as one
line of JSON on the file descriptor the request names, then waits for SIGTERM, or for the end of the process the request
names.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from typing import Any

from ray.cluster_utils import Cluster

from farm.cluster import patience
from farm.cluster.connection import NODE_LABEL, SOC_LABEL
from farm.cluster.local import ClusterRequest, LocalNode
from farm.cluster.workers import forked
from farm.process import identity


def main(request: ClusterRequest) -> None:
    """Start the nodes one after another, report them, and hold them until SIGTERM."""
    logging.getLogger("ray._private.accelerators.npu").setLevel(logging.CRITICAL)
    cluster = Cluster(shutdown_at_exit=True)
    with forked.workers(simulated=True, lasting=True):
        _hold(cluster, request)


def _hold(cluster: Cluster, request: ClusterRequest) -> None:
    with os.fdopen(request.report_to, "w") as report:
        for number in range(request.nodes):
            arguments = _arguments(request, number)
            started = patience.started(lambda: cluster.add_node(**arguments))  # noqa: B023 - called at once
            pids = [info[0].process.pid for kind, info in started.all_processes.items() if kind in _VITAL]
            node = LocalNode(number=number, devices=request.devices, processes=[identity.of(pid) for pid in pids])
            print(node.model_dump_json(), file=report, flush=True)
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(0))  # Ray's own at-exit hooks end the nodes
    while request.until is None or not request.until.gone():
        time.sleep(_LOOK_S)  # SIGTERM ends it at once


_VITAL = ("gcs_server", "raylet")  # without these a node is not one
_LOOK_S = 1.0  # how often to look for the process the nodes are for


def _arguments(request: ClusterRequest, number: int) -> dict[str, Any]:
    labels = {NODE_LABEL: str(number)} | ({SOC_LABEL: request.soc} if request.soc else {})
    shared = {
        "resources": {"NPU": request.devices},
        "labels": labels,
        "node_name": f"node-{number}",
        "include_dashboard": False,
    }
    if number:
        return shared
    return {
        **shared,
        "gcs_server_port": request.port,
        "dashboard_agent_listen_port": 0,
    }


if __name__ == "__main__":
    main(ClusterRequest.model_validate_json(sys.argv[1]))
