"""Which devices of the cluster programs outside of the farm have locked; every node is asked for its own."""

from __future__ import annotations

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from farm.cluster import connection
from farm.process import device_lock

_ANSWER_S = 30.0  # a fresh process on a busy machine


def locked_devices() -> dict[str, str]:
    """Device id → who has locked it. Of a node that does not answer nothing is known. Raises `HeadSilentError`."""
    task = ray.remote(_locked_here)
    asked = [
        (node.name, task.options(num_cpus=0, scheduling_strategy=_only(node.id)).remote(node.npus))
        for node in connection.nodes().values()
        if node.npus
    ]
    found: dict[str, str] = {}
    for name, answer in asked:
        try:
            told: dict[int, str] = ray.get(answer, timeout=_ANSWER_S)
        except (RayError, GetTimeoutError):
            continue
        found.update({f"{name}/{index}": who for index, who in told.items()})
    return found


def _only(node_id: str) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node_id, soft=False)


def _locked_here(devices: int) -> dict[int, str]:
    """Of the indices below `devices`, those that somebody else has locked."""
    looked = {index: device_lock.obstacle(index, own=False) for index in range(devices)}
    return {index: who for index, who in looked.items() if who}
