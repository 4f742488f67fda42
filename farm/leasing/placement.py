"""Devices from Ray: which are taken, and what happens to those that may not be used.

Ray chooses the devices; nobody can ask it for a certain one. So what Ray gives is looked at, and a device that is
refused (quarantined, not on the list) stays held while another is asked for, or Ray would give it again; when enough
are there, the refused ones go back. One placement group of N bundles gives all or none and spreads over nodes; where
single devices are named, each is a group of its own on its node.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from farm.cluster import connection
from farm.cluster.connection import Node
from farm.errors import CapacityError, InfrastructureError, UsageError
from farm.model.selection import Selection, Spread

_NODE_ID_LABEL = "ray.io/node-id"
_IDENTIFY_S = 60.0  # a fresh worker process on a busy machine
# Ray places what is free within 0.1 s; longer means somebody else holds the devices.
SPARE_GRACE_S = 2.0
# Whole seconds: Ray takes a fraction for zero. A group goes on waiting between two looks, because one that is removed
# in the moment Ray is placing it can take devices with it (seen with Ray 2.60).
_LOOK_S = 1


@dataclass(frozen=True, slots=True)
class DeviceAllocation:
    """One device Ray has given: a bundle of a placement group, and what is behind it."""

    group: PlacementGroup
    bundle: int
    node: Node
    index: int  # of the device on its node, as Ray numbers it

    @property
    def id(self) -> str:
        """The device's id, "node/index"."""
        return f"{self.node.name}/{self.index}"

    @property
    def strategy(self) -> PlacementGroupSchedulingStrategy:
        """For an actor or task that shall run on this device."""
        return PlacementGroupSchedulingStrategy(placement_group=self.group, placement_group_bundle_index=self.bundle)


Refuse = Callable[[str], bool]  # device id → True where it may not be used
GoOn = Callable[[], bool]  # asked about once a second: whether to go on waiting


def at_once() -> GoOn:
    """Waits as long as Ray needs to place what is free, not for somebody to give devices back."""
    end = time.monotonic() + SPARE_GRACE_S
    return lambda: time.monotonic() < end


class Placement:
    """The devices one lease holds. `release` gives all of them back."""

    def __init__(self, selection: Selection, refuse: Refuse, *, together: bool = False) -> None:
        """`together` asks for devices of as few nodes as possible, in place of as many."""
        self._selection = selection
        self._together = together
        self._refuse = refuse
        self._groups: list[PlacementGroup] = []

    def require(self, count: int) -> None:
        """Raise `UsageError` or `CapacityError` where the cluster, all of it free, could not give `count` devices."""
        nodes = list(connection.nodes().values())
        _require_known(self._selection, nodes)
        eligible = [each for node in self._eligible(nodes) for each in self._devices(node)]
        usable = [each for each in eligible if not self._refuse(each)]
        if self._selection.spread is Spread.NODES:
            places = len({each.rpartition("/")[0] for each in usable})
            if count > places:
                raise CapacityError(count, places, "nodes that can give one are", "leave out --spread nodes")
        if count > len(usable):
            refused = len(eligible) - len(usable)
            there = "the cluster has" if len(eligible) == sum(node.npus for node in nodes) else "eligible are"
            quarantined = f"{refused} more are quarantined (`farm devices` tells why); " if refused else ""
            remedy = f"{quarantined}ask for at most {len(usable)}, or use a larger cluster with --address"
            raise CapacityError(count, len(usable), there, remedy)

    def take(self, count: int, go_on: GoOn, beside: Iterable[DeviceAllocation] = ()) -> list[DeviceAllocation]:
        """`count` devices that may be used, or none where Ray has not given them when `go_on` says no.

        `beside` are those the lease keeps: where each device needs a node of its own, theirs are taken. Raises
        `InfrastructureError` where Ray gives a device it cannot reach.
        """
        before = list(self._groups)
        kept: list[DeviceAllocation] = []
        avoid = {place.node.id for place in beside}
        while len(kept) < count:
            asked = self._ask(count - len(kept), avoid, go_on)
            if not asked:
                self._remove([group for group in self._groups if group not in before])
                return []
            fresh = [place for place in _identify(asked) if not self._unwanted(place)]
            kept.extend(fresh)
            avoid.update(place.node.id for place in fresh)
        using = {place.group.id for place in kept}
        self._remove([group for group in self._groups if group not in before and group.id not in using])
        return kept

    def again(self, place: DeviceAllocation) -> DeviceAllocation | None:
        """The device behind the bundle of `place` now: Ray moves a bundle whose node has died. None for nowhere."""
        if not place.group.wait(int(SPARE_GRACE_S)):
            return None
        moved = _identify([(place.group, place.bundle)])[0]
        return None if self._unwanted(moved) else moved

    def release(self) -> None:
        """Give every device back. Safe to call twice."""
        self._remove(list(self._groups))

    def _unwanted(self, place: DeviceAllocation) -> bool:
        listed = self._selection.devices
        return self._refuse(place.id) or (bool(listed) and place.id not in listed)

    def _devices(self, node: Node) -> Iterable[str]:
        every = (f"{node.name}/{index}" for index in range(node.npus))
        return [each for each in every if not self._selection.devices or each in self._selection.devices]

    def _eligible(self, nodes: Iterable[Node]) -> list[Node]:
        wanted = self._selection
        return [
            node
            for node in nodes
            if node.npus
            and (wanted.soc is None or node.soc == wanted.soc)
            and (not wanted.nodes or node.name in wanted.nodes)
            and (not wanted.devices or any(self._devices(node)))
        ]

    def _ask(self, count: int, avoid: set[str], go_on: GoOn) -> list[tuple[PlacementGroup, int]]:
        """`count` bundles, wherever they are; empty where they are not to be had at once."""
        apart = self._selection.spread is Spread.NODES
        eligible = [node.id for node in self._eligible(connection.nodes().values()) if not (apart and node.id in avoid)]
        if not eligible:
            return []
        if self._selection.devices:
            return self._ask_one_by_one(count, eligible, go_on)
        selector = {_NODE_ID_LABEL: f"in({','.join(eligible)})"}
        strategy = "STRICT_SPREAD" if apart else "PACK" if self._together else "SPREAD"
        group = self._group(count, strategy, selector, go_on)
        return [(group, bundle) for bundle in range(count)] if group else []

    def _ask_one_by_one(self, count: int, eligible: list[str], go_on: GoOn) -> list[tuple[PlacementGroup, int]]:
        """Groups of one bundle on the nodes of the listed devices; fewer than `count` will do, as long as any."""
        given = []
        for number in range(count):
            selector = {_NODE_ID_LABEL: f"in({','.join(eligible)})"}
            group = self._group(1, "PACK", selector, go_on if number == 0 else at_once())
            if group is None:
                break
            given.append((group, 0))
        return given

    def _group(self, count: int, strategy: str, selector: dict[str, str], go_on: GoOn) -> PlacementGroup | None:
        group = placement_group([{"NPU": 1}] * count, strategy=strategy, bundle_label_selector=[selector] * count)
        self._groups.append(group)  # before the wait: whatever ends it, the group is known and will be removed
        while not group.wait(_LOOK_S):
            if not go_on():
                self._remove([group])
                return None
        return group

    def _remove(self, groups: list[PlacementGroup]) -> None:
        for group in groups:
            remove_placement_group(group)
        self._groups = [group for group in self._groups if group not in groups]


def _identify(bundles: list[tuple[PlacementGroup, int]]) -> list[DeviceAllocation]:
    """What is behind each bundle; asked by a task that runs there, since only there Ray tells the device's index."""
    task = ray.remote(_where_am_i)
    places = [DeviceAllocation(group, bundle, Node("", "", "", 0), -1) for group, bundle in bundles]
    references = [
        task.options(num_cpus=0, resources={"NPU": 1}, max_retries=3, scheduling_strategy=place.strategy).remote()
        for place in places
    ]
    try:
        answers: list[tuple[str, int]] = ray.get(references, timeout=_IDENTIFY_S)
    except (RayError, GetTimeoutError) as error:
        raise InfrastructureError(f"a device Ray gave could not be reached: {type(error).__name__}") from error
    nodes = connection.nodes()
    return [
        DeviceAllocation(place.group, place.bundle, nodes[node_id], index)
        for place, (node_id, index) in zip(places, answers, strict=True)
    ]


def _where_am_i() -> tuple[str, int]:
    context: Any = ray.get_runtime_context()
    return context.get_node_id(), int(context.get_accelerator_ids()["NPU"][0])


def _require_known(selection: Selection, nodes: list[Node]) -> None:
    """Raise `UsageError` naming what the selection asks for and no node has."""
    with_npus = [node for node in nodes if node.npus]
    if not with_npus:
        raise UsageError("the cluster has no NPU: start Ray on nodes that have, or with --resources='{\"NPU\": 1}'")
    socs = Counter(node.soc for node in with_npus if node.soc)
    if selection.soc is not None and selection.soc not in socs:
        raise UsageError(f"no node has the label soc={selection.soc}; labels here: {', '.join(sorted(socs)) or 'none'}")
    names = {node.name: node.npus for node in with_npus}
    for name in selection.nodes:
        if name not in names:
            raise UsageError(f"no node '{name}' with NPUs in the cluster; nodes: {', '.join(sorted(names))}")
    for device in selection.devices:
        name, _, index = device.rpartition("/")
        if name not in names or not index.isdecimal() or int(index) >= names[name]:
            raise UsageError(f"no device '{device}' in the cluster; `farm devices` lists them")
