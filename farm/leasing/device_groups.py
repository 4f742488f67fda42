"""Placement groups of one device each, and the only place where they are made and removed."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence

from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from farm.cluster import head_call
from farm.errors import InfrastructureError

_NODE_ID_LABEL = "ray.io/node-id"
# What is free is placed within 0.1 s; on a machine that is full within some seconds.
_PLACE_S = 5.0
_EACH_S = 0.05  # more for each device: the head places about a hundred in a second
_LOOK_S = 1  # whole seconds: Ray takes a fraction for zero


class DeviceGroups:
    """The groups one lease holds. The threads that recover slots and the one that releases the lease share it."""

    def __init__(self) -> None:
        self._changing = threading.Lock()  # for the two lists, and never while Ray is asked
        self._held: list[PlacementGroup] = []
        self._settled: list[PlacementGroup] = []  # those of `_held` that Ray has had its time to place
        self._closed = False

    def all(self) -> list[PlacementGroup]:
        """Every group that was asked for and not removed."""
        return list(self._held)

    def holds(self, group: PlacementGroup) -> bool:
        """Whether `group` was not removed."""
        return group in self._held

    def ask(self, nodes: Sequence[str], into: list[PlacementGroup]) -> list[PlacementGroup]:
        """Return a device of each of `nodes` (Ray's ids), or none where Ray does not place all of them.

        Those that were asked for in vain are still held. `into` gets every group as soon as it is asked for, whatever
        ends the wait: the caller removes those that it does not keep. Raises `InfrastructureError` where the head does
        not answer, or the lease was given back meanwhile.
        """
        if not nodes:
            return []
        groups: list[PlacementGroup] = []
        limit_s = head_call.answer_s() + _EACH_S * len(nodes)
        head_call.bounded("place devices", self._create, nodes, groups, into, limit_s=limit_s)
        ready: bool = head_call.bounded("place devices", _ready, groups, limit_s=limit_s)
        with self._changing:
            self._settled += groups
        return groups if ready else []

    def remove(self, groups: Collection[PlacementGroup], limit_s: float | None = None) -> None:
        """Give the devices of `groups` back. Unknown ones are removed already. Raises `HeadSilentError`."""
        mine = [group for group in self._held if group in groups]
        if mine:
            limit_s = head_call.answer_s() + _EACH_S * len(mine) if limit_s is None else limit_s
            head_call.bounded("free devices", self._remove, mine, limit_s=limit_s)
            with self._changing:
                self._held = [group for group in self._held if group not in mine]
                self._settled = [group for group in self._settled if group not in mine]

    def close(self, limit_s: float) -> None:
        """Remove every group, and each that another thread is just asking for. Raises `HeadSilentError`."""
        self._closed = True
        self.remove(self.all(), limit_s)

    def _create(self, nodes: Sequence[str], groups: list[PlacementGroup], into: list[PlacementGroup]) -> None:
        for node in nodes:
            group = placement_group([{"NPU": 1}], strategy="PACK", bundle_label_selector=[{_NODE_ID_LABEL: node}])
            groups.append(group)
            with self._changing:
                self._held.append(group)  # before anything waits: whatever ends the wait, the group is known
            into.append(group)
            if self._closed:
                self.remove([group])
                raise InfrastructureError("the lease was given back while a device was asked for")

    def _remove(self, groups: Sequence[PlacementGroup]) -> None:
        """Remove `groups`, but none while Ray is placing it: Ray 2.60 then loses its device until the node ends."""
        end = time.monotonic() + _LOOK_S  # for all: what has no place by then waits for one
        for group in groups:
            if group not in self._settled and time.monotonic() < end:
                group.wait(_LOOK_S)
            remove_placement_group(group)


def _ready(groups: Sequence[PlacementGroup]) -> bool:
    end = time.monotonic() + _PLACE_S + _EACH_S * len(groups)
    for group in groups:
        while not group.wait(_LOOK_S):
            if time.monotonic() > end:
                return False
    return True
