"""Devices from Ray: which are taken, and what happens to those that may not be used.

Every device is a placement group of its own, pinned to its node, because Ray gives a group back whole and never by the
bundle: so a device that is left is free at once, whatever happens to the others.

N devices are held all at the same time or not at all. Groups are asked for only where Ray says that enough devices are
free at that moment; where one of them cannot be placed after all, everything of that attempt goes back at once. While a
run waits it holds nothing. So two runs that wait cannot each hold a part of what the other needs, with the device queue
in front of Ray or without.

Ray chooses the device on the node; nobody can ask it for a certain one. So what Ray gives is looked at, and a device
that is refused (quarantined, not on the list) stays held while another is asked for, or Ray would give it again; at the
end of the attempt the refused ones go back.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ray.util.placement_group import PlacementGroup

from farm.cluster import connection
from farm.cluster.connection import Node
from farm.errors import CapacityError, InfrastructureError, UsageError
from farm.leasing.allocation import DeviceAllocation, identify
from farm.leasing.device_groups import DeviceGroups
from farm.leasing.node_choice import choose
from farm.model.selection import Selection, Spread
from farm.process.start_limit import HostOverloadedError

_PASSED_OVER_S = 300.0  # for a host that did not start a process in time
# Ray places what is free within 0.1 s; longer means somebody else holds the devices.
SPARE_GRACE_S = 2.0
_LOOK_S = 0.5  # how often to ask Ray what is free, while waiting
# An attempt that failed with as many devices free as now would fail again, unless one device was freed while another
# was taken. That cannot be seen, so it is tried again after this time.
_AGAIN_S = 10.0


Refuse = Callable[[str], bool]  # device id → True where it may not be used
Locked = Callable[[str, str], None]  # device id, who has locked it
GoOn = Callable[[], bool]  # asked twice a second: whether to go on waiting


def at_once() -> GoOn:
    """Waits as long as Ray needs to place what is free, not for somebody to give devices back."""
    end = time.monotonic() + SPARE_GRACE_S
    return lambda: time.monotonic() < end


@dataclass(slots=True)
class _FailedAttempt:
    """What was free when devices could not be had, so that the same is not tried over and over."""

    free: Mapping[str, int] = field(default_factory=dict)
    again_at: float = 0.0  # time.monotonic()

    def worth_another(self, free: Mapping[str, int]) -> bool:
        """Whether there is more free than then, or enough time has passed."""
        more = any(number > self.free.get(node, 0) for node, number in free.items())
        return more or time.monotonic() >= self.again_at


class Placement:
    """The devices one lease holds. `give_back` gives up one of them, `release` all. Several threads may use it."""

    def __init__(
        self,
        selection: Selection,
        refuse: Refuse,
        *,
        together: bool = False,
        on_locked: Locked = lambda device, who: None,
    ) -> None:
        """`together` asks for devices of as few nodes as possible, in place of as many.

        `on_locked` is called with each device that Ray gives and a program outside of Ray has locked.
        """
        self._on_locked = on_locked
        self._selection = selection
        self._together = together
        self._refuse = refuse
        self._groups = DeviceGroups()
        self._passed_over: dict[str, float] = {}  # Ray's node id → time.monotonic() until which it is asked for nothing

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
        """Return `count` devices that may be used, or none where they were not free together when `go_on` says no.

        `beside` are those the lease keeps: where each device needs a node of its own, theirs are taken. Raises
        `InfrastructureError` where Ray gives a device it cannot reach, or does not answer, and `HostOverloadedError`
        where a host does not start the process that looks at its device and the others have not enough.
        """
        avoid = {place.node.id for place in beside}
        failed = _FailedAttempt()
        while True:
            free = self._free()
            if failed.worth_another(free) and (places := self._attempt_elsewhere(count, free, avoid)):
                return places
            if failed.worth_another(free):
                failed = _FailedAttempt(free, time.monotonic() + random.uniform(_LOOK_S, _AGAIN_S))
            if not go_on():
                return []
            time.sleep(_LOOK_S)

    def still_there(self, place: DeviceAllocation) -> bool:
        """Whether the device at `place` can still be used: its node is in the cluster, and nothing refuses it."""
        return self.holds(place) and place.node.id in connection.nodes() and not self._unwanted(place)

    def holds(self, place: DeviceAllocation) -> bool:
        """Whether the device at `place` was not given back."""
        return self._groups.holds(place.group)

    def pass_over(self, node_id: str) -> None:
        """Ask a node that is overloaded for no device for a while."""
        self._passed_over[node_id] = time.monotonic() + _PASSED_OVER_S

    def give_back(self, place: DeviceAllocation) -> None:
        """Give one device back. Safe to call twice."""
        self._groups.remove([place.group])

    def release(self) -> None:
        """Give every device back. Safe to call twice."""
        self._groups.remove(self._groups.all())

    def close(self, limit_s: float) -> None:
        """Give every device back, and take none any more, not even in a `take` that is under way in another thread.

        Raises `HeadSilentError` after `limit_s`.
        """
        self._groups.close(limit_s)

    def _attempt_elsewhere(self, count: int, free: Mapping[str, int], avoid: Iterable[str]) -> list[DeviceAllocation]:
        """As `_attempt`; a host that is overloaded is left out where the others have enough."""
        while True:
            try:
                return self._attempt(count, free, avoid)
            except HostOverloadedError as error:
                self.pass_over(error.node_id)
                free = {node: number for node, number in free.items() if node != error.node_id}
                if sum(free.values()) < count:
                    raise

    def _attempt(self, count: int, free: Mapping[str, int], avoid: Iterable[str]) -> list[DeviceAllocation]:
        """`count` devices of what is `free` right now, or none; what is not returned has been given back."""
        asked_for: list[PlacementGroup] = []  # by this attempt; another thread may make one beside it
        kept: list[DeviceAllocation] = []
        left, taken = dict(free), set(avoid)
        try:
            while len(kept) < count:
                nodes = self._choose(left, count - len(kept), taken, kept)
                asked = self._groups.ask(nodes, asked_for)
                if not asked:
                    kept = []
                    break
                left = {node: number - nodes.count(node) for node, number in left.items()}
                fresh = [
                    place for place in identify(asked, nodes) if not self._unwanted(place) and not self._locked(place)
                ]
                kept.extend(fresh)
                taken.update(place.node.id for place in fresh)
        except InfrastructureError:
            kept = []
            raise
        finally:
            using = [place.group for place in kept]
            self._groups.remove([group for group in asked_for if group not in using])
        return kept

    def _choose(self, free: Mapping[str, int], count: int, taken: set[str], kept: list[DeviceAllocation]) -> list[str]:
        apart = self._selection.spread is Spread.NODES
        if not self._selection.devices:
            return choose(free, count, apart=apart, together=self._together, avoid=taken)
        # No more of a node than are listed there: each of the others would be held for nothing.
        found = {place.id for place in kept}
        nodes = connection.nodes()
        open_there = {
            node: min(number, len([each for each in self._devices(nodes[node]) if each not in found]))
            for node, number in free.items()
            if node in nodes
        }
        return choose(open_there, count, apart=apart, together=self._together, avoid=taken, fewer=True)

    def _free(self) -> dict[str, int]:
        """Free devices of each node that may give some."""
        free, now = connection.free_by_node(), time.monotonic()
        eligible = [node.id for node in self._eligible(connection.nodes().values())]
        return {node: free.get(node, 0) for node in eligible if self._passed_over.get(node, 0.0) <= now}

    def _unwanted(self, place: DeviceAllocation) -> bool:
        listed = self._selection.devices
        return self._refuse(place.id) or (bool(listed) and place.id not in listed)

    def _locked(self, place: DeviceAllocation) -> bool:
        if place.locked:
            self._on_locked(place.id, place.locked)
        return bool(place.locked)

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
