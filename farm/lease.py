"""Exclusive use of N distinct devices at the same time.

One Ray placement group of N bundles with one `NPU` each, and one actor a bundle: Ray gives all of them or none, no two
bundles share a device, and when the driver or a worker dies Ray takes its devices back. There is no other lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from farm import cluster
from farm.errors import CapacityError, InfrastructureError
from farm.record import DeviceRecord
from farm.stages import StageBoard
from farm.worker import DeviceWorker, PlatformFactory

# Ray places a feasible group within 0.1 s; longer means somebody else holds the devices.
PLACEMENT_GRACE_S = 5.0
SPARE_GRACE_S = 2.0
WORKER_START_S = 120.0


class Lease:
    """N devices, numbered by slot. A slot keeps its number when its device is replaced."""

    def __init__(self, platform: PlatformFactory, cache: str) -> None:
        self._platform = platform
        self._cache = cache
        self._groups: list[PlacementGroup] = []
        self._bundles: dict[int, tuple[PlacementGroup, int]] = {}
        self._actors: dict[int, Any] = {}
        self._devices: dict[int, DeviceRecord] = {}
        self._held: list[DeviceRecord] = []
        self._board = ray.remote(StageBoard).options(num_cpus=0).remote()

    def acquire(self, count: int, wait_s: float) -> None:
        """Take `count` devices at once. Raises `CapacityError`, `InfrastructureError`."""
        present = cluster.device_count()
        if count > present:
            raise CapacityError(count, present, f"ask for at most {present}, or use a larger cluster with --address")
        group = self._place(count, max(wait_s, PLACEMENT_GRACE_S))
        if group is None:
            free = cluster.free_count()
            raise CapacityError(count, free, "free now, the rest is leased; wait for them with --wait SECONDS")
        for slot in range(count):
            self._bundles[slot] = (group, slot)
            self._actors[slot] = self._start(slot)
        self._held.extend([self._describe(slot) for slot in range(count)])

    def actor(self, slot: int) -> Any:
        """The worker that holds the device of `slot`."""
        return self._actors[slot]

    def device(self, slot: int) -> DeviceRecord:
        """The device `slot` holds now."""
        return self._devices[slot]

    @property
    def slots(self) -> list[int]:
        """All slots."""
        return sorted(self._bundles)

    @property
    def held(self) -> list[DeviceRecord]:
        """Every device this lease has held, replaced ones too, in the order it got them."""
        return list(self._held)

    def stages(self) -> dict[int, str]:
        """What each slot is doing; empty when the board does not answer, which costs a progress line and no more."""
        try:
            return dict(ray.get(self._board.stages.remote(), timeout=1.0))
        except (GetTimeoutError, RayError):
            return {}

    def replace(self, slot: int) -> bool:
        """Put `slot` on another device, or on its own with a fresh process where none is free; True for another.

        Raises `InfrastructureError` where not even that is to be had.
        """
        self._stop([slot])
        spare = self._place(1, SPARE_GRACE_S)
        if spare is not None:
            self._bundles[slot] = (spare, 0)
        self._actors[slot] = self._start(slot)
        self._held.append(self._describe(slot))
        return spare is not None

    def renew(self, slot: int) -> None:
        """A fresh process on the device of `slot`: a failed compile or run poisons what comes after it in its process.

        Raises `InfrastructureError`.
        """
        self._stop([slot])
        self._actors[slot] = self._start(slot)
        self._describe(slot)

    def release(self) -> None:
        """Give every device back. Safe to call twice, and after anything has died."""
        self._stop(list(self._actors))
        ray.kill(self._board)
        for group in self._groups:
            remove_placement_group(group)
        self._groups.clear()

    def _place(self, count: int, wait_s: float) -> PlacementGroup | None:
        group = placement_group([{"NPU": 1}] * count, strategy="SPREAD")
        if group.wait(wait_s):
            self._groups.append(group)
            return group
        remove_placement_group(group)
        return None

    def _start(self, slot: int) -> Any:
        group, bundle = self._bundles[slot]
        strategy = PlacementGroupSchedulingStrategy(placement_group=group, placement_group_bundle_index=bundle)
        worker = ray.remote(DeviceWorker).options(
            num_cpus=0, resources={"NPU": 1}, max_restarts=0, scheduling_strategy=strategy
        )
        return worker.remote(slot, self._platform, self._cache, self._board)

    def _describe(self, slot: int) -> DeviceRecord:
        try:
            told = ray.get(self._actors[slot].describe.remote(), timeout=WORKER_START_S)
        except (RayError, GetTimeoutError) as error:
            raise InfrastructureError(f"the worker of slot {slot} did not start: {_first_line(error)}") from error
        node = cluster.nodes()[told["node_id"]]
        record = DeviceRecord(
            id=f"{node.name}/{told['index']}",
            node=node.name,
            node_id=node.id,
            index=told["index"],
            soc=told["soc"],
            platform=told["platform"],
            pid=told["pid"],
            card=told["card"],
        )
        self._devices[slot] = record
        return record

    def _stop(self, slots: Iterable[int]) -> None:
        for slot in slots:
            actor = self._actors.pop(slot, None)
            if actor is not None:
                ray.kill(actor)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]
