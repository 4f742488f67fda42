"""A device that Ray has given: which one it is, asked on its own node, and how busy that node's host is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from farm.cluster import connection
from farm.cluster.connection import Node
from farm.errors import InfrastructureError
from farm.process import device_lock, installation, start_limit
from farm.process.installation import InstallationError
from farm.process.start_limit import HostLoad, HostOverloadedError

_LOCK_WAIT_S = 2.0  # the process that had the device last may take a moment to end
_START_SHARE = 0.25  # of a worker's start limit: a process that imports next to nothing
_FETCH_S = 60.0  # for an answer that is there
_NO_CODE = "failed to import on the worker"  # in what Ray says of a function that a node has not


@dataclass(frozen=True, slots=True)
class DeviceAllocation:
    """One device Ray has given: a placement group of one bundle, and what is behind it."""

    group: PlacementGroup
    node: Node
    index: int  # of the device on its node, as Ray numbers it
    locked: str = field(default="", compare=False)  # who had locked it outside of Ray when Ray gave it; "" for nobody
    load: HostLoad | None = field(default=None, compare=False)  # of its host when Ray gave it

    @property
    def id(self) -> str:
        """The device's id, "node/index"."""
        return f"{self.node.name}/{self.index}"

    @property
    def strategy(self) -> PlacementGroupSchedulingStrategy:
        """For an actor or task that shall run on this device."""
        return _strategy(self.group)


def identify(groups: Sequence[PlacementGroup], asked: Sequence[str]) -> list[DeviceAllocation]:
    """Return what is behind each group; asked by a task that runs there, since only there Ray reports the index.

    `asked` has the id of each group's node. Raises `InfrastructureError`, `HostOverloadedError` for the first node that
    does not start the task within its start limit, and `InstallationError` where a node has not the code of it.
    """
    task = ray.remote(_where_am_i)
    references = [
        task.options(num_cpus=0, resources={"NPU": 1}, max_retries=3, scheduling_strategy=_strategy(group)).remote()
        for group in groups
    ]
    _require_answers(references, asked)
    nodes = connection.nodes()
    answers = [_answer(reference, nodes, node_id) for reference, node_id in zip(references, asked, strict=True)]
    if gone := [node_id for node_id, *_ in answers if node_id not in nodes]:
        raise InfrastructureError(f"a device Ray gave is on node {gone[0]}, which has left the cluster")
    return [
        DeviceAllocation(group, nodes[node_id], index, locked, load)
        for group, (node_id, index, locked, load) in zip(groups, answers, strict=True)
    ]


def nodes_first(places: Mapping[int, DeviceAllocation]) -> list[int]:
    """Return the slots in the order in which to start their workers: a device of each node before a second of any."""
    seen: Counter[str] = Counter()
    ranks: dict[int, int] = {}
    for slot, place in places.items():
        ranks[slot] = seen[place.node.id]
        seen[place.node.id] += 1
    return sorted(places, key=lambda slot: (ranks[slot], slot))


def _require_answers(references: list[Any], asked: Sequence[str]) -> None:
    waiting = references

    def ended(seconds: float) -> bool:
        nonlocal waiting
        _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=seconds, fetch_local=False)
        return not waiting

    limit_s = start_limit.exceeded(ended, None, _START_SHARE)
    if limit_s is not None:
        node_id = asked[references.index(waiting[0])]
        node = connection.nodes().get(node_id)
        name = node.name if node is not None else node_id
        raise HostOverloadedError(name, "the process that looks at a device", limit_s, None, node_id)


def _answer(reference: Any, nodes: Mapping[str, Node], node_id: str) -> tuple[str, int, str, HostLoad]:
    try:
        answer: tuple[str, int, str, HostLoad] = ray.get(reference, timeout=_FETCH_S)
    except (RayError, GetTimeoutError) as error:
        if _NO_CODE in str(error):
            name = nodes[node_id].name if node_id in nodes else node_id
            here = f"install the one in {installation.root()} there"
            raise InstallationError(f"node {name} runs another release of the farm, or none; {here}") from error
        raise InfrastructureError(f"a device Ray gave could not be reached: {type(error).__name__}") from error
    return answer


def _strategy(group: PlacementGroup) -> PlacementGroupSchedulingStrategy:
    return PlacementGroupSchedulingStrategy(placement_group=group, placement_group_bundle_index=0)


def _where_am_i() -> tuple[str, int, str, HostLoad]:
    context: Any = ray.get_runtime_context()
    index = int(context.get_accelerator_ids()["NPU"][0])
    return context.get_node_id(), index, device_lock.obstacle(index, _LOCK_WAIT_S), HostLoad.here()
