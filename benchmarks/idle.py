"""Devices without work: what the scheduler is measured with. Real Ray actors on real placement groups, no kernel.

Real are Ray, its raylets, the placement of the farm, one actor a device, the stage board and the watch over the head.
Not real is the worker: `IdleWorker` has the methods of `farm.leasing.worker.DeviceWorker` but imports no torch (200
processes that do would need about 60 GB), and answers every trial with a record that was given to it once. `IdleLease`
offers what `farm.execution.executor` and `farm.execution.in_flight` use of `farm.leasing.lease.Lease`, without
canaries, line and health.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from farm.leasing import worker_pool
from farm.leasing.stage_board import StageBoard
from jobs.records import TrialRecord, TrialRequest

STAGES = ("prepare", "golden", "run", "compare")  # what a real trial notes on its way
NODE_CPUS = 1
STORE_BYTES = 100 << 20  # of each raylet's object store; records are sent inline and need none of it


class IdleWorker:
    """One process that holds one device and does nothing on it."""

    def __init__(self, slot: int, record: TrialRecord, board: Any) -> None:
        self._slot = slot
        self._record = record
        self._board = board
        self._random = random.Random(slot)
        self._busy_s = 0.0
        self._notes = False

    def ready(self) -> int:
        """The process id."""
        return os.getpid()

    def pretend(self, busy_s: float, notes: bool) -> None:
        """Sleep about `busy_s` in each trial from now on, and with `notes` tell the stage board of its stages."""
        self._busy_s = busy_s
        self._notes = notes

    def trial(self, request: TrialRequest, device_id: str, repeat: int, attempt: int, directory: str) -> TrialRecord:
        """The record it was given. `wall_us` is when the trial began, `host_s` when it ended, by time.monotonic().

        That clock is one for all processes of a host, so the driver can tell how long a device had nothing to do.
        Trials last between half and one and a half times the time they pretend, or all devices would end at once.
        """
        begun = time.monotonic()
        if self._notes:
            for stage in STAGES:
                self._board.note.remote(self._slot, stage)
        if self._busy_s:
            time.sleep(self._busy_s * self._random.uniform(0.5, 1.5))
        told = {"device": device_id, "repeat": repeat, "attempt": attempt, "wall_us": begun * 1e6}
        return self._record.model_copy(update={**told, "host_s": time.monotonic()})


@dataclass(slots=True)
class IdleLease:
    """N devices with an idle worker each."""

    placement: Any  # farm.leasing.placement.Placement
    devices: list[Any]  # farm.model.run.DeviceRecord by slot
    actors: list[Any]
    board: Any
    head: Any  # farm.cluster.head_watchdog.HeadWatch
    placed_s: float  # seconds until the devices were known
    started_s: float  # seconds from there until every worker had answered
    queue_s: float = 0.0
    since: float = field(default_factory=time.monotonic)
    yields: bool = False

    @property
    def slots(self) -> list[int]:
        """Every slot."""
        return list(range(len(self.actors)))

    def start_trial(
        self, slot: int, request: TrialRequest, device_id: str, repeat: int, attempt: int, directory: str
    ) -> Any:
        """As the real one."""
        return self.actors[slot].trial.remote(request, device_id, repeat, attempt, directory)

    def ended(self, calls: Sequence[Any], timeout_s: float) -> list[Any]:
        """As the real one."""
        return worker_pool.ended(calls, timeout_s)

    def result(self, call: Any) -> Any:
        """As the real one."""
        return worker_pool.result(call)

    def device(self, slot: int) -> Any:
        """The device of `slot`."""
        return self.devices[slot]

    def require_head(self) -> None:
        """Raise where the head node is gone."""
        self.head.check()

    def stages(self) -> dict[int, str]:
        """What each slot is doing; empty where the board does not answer, as it is for a real lease."""
        import ray

        try:
            return dict(ray.get(self.board.stages.remote(), timeout=1.0))
        except ray.exceptions.GetTimeoutError:
            return {}

    def pretend(self, busy_s: float, notes: bool) -> None:
        """See `IdleWorker.pretend`; returns when every worker knows."""
        import ray

        ray.get([actor.pretend.remote(busy_s, notes) for actor in self.actors])

    def release(self) -> None:
        """Give everything back."""
        import ray

        for actor in [*self.actors, self.board]:
            ray.kill(actor)
        self.placement.release()


@contextmanager
def cluster(nodes: int, devices: int) -> Iterator[None]:
    """A Ray of `nodes` raylets on this host that share `devices` simulated devices, with a driver connected to it."""
    import logging

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    logging.getLogger("ray._private.accelerators.npu").setLevel(logging.CRITICAL)
    import ray
    from ray.cluster_utils import Cluster

    head = {"num_cpus": NODE_CPUS, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    started = Cluster(initialize_head=True, head_node_args=head)
    try:
        for number in range(nodes):
            share = devices // nodes + (number < devices % nodes)
            labels = {"farm-node": f"n{number}"}
            started.add_node(
                num_cpus=NODE_CPUS, resources={"NPU": share}, labels=labels, object_store_memory=STORE_BYTES
            )
        ray.init(address=started.address, log_to_driver=False, logging_level=logging.ERROR)
        yield
    finally:
        ray.shutdown()
        started.shutdown()


@contextmanager
def leased(count: int, record: TrialRecord, start_s: float) -> Iterator[IdleLease]:
    """`count` devices of the connected cluster with an idle worker each, all of which answer within `start_s`."""
    import ray

    from farm.cluster.head_watchdog import HeadWatchdog
    from farm.leasing.placement import Placement
    from farm.model.run import DeviceRecord
    from farm.model.selection import Selection

    placement = Placement(Selection(), lambda device: False)
    begun = time.monotonic()
    places = placement.take(count, lambda: time.monotonic() - begun < start_s)
    placed = time.monotonic()
    board = ray.remote(StageBoard).options(num_cpus=0).remote()
    worker = ray.remote(IdleWorker)
    actors = [
        worker.options(num_cpus=0, resources={"NPU": 1}, scheduling_strategy=place.strategy).remote(slot, record, board)
        for slot, place in enumerate(places)
    ]
    pids = ray.get([actor.ready.remote() for actor in actors], timeout=start_s)
    ended = time.monotonic()
    devices = [
        DeviceRecord(
            id=place.id,
            node=place.node.name,
            node_id=place.node.id,
            index=place.index,
            soc="",
            platform="idle",
            pid=pid,
            card=str(place.index),
        )
        for place, pid in zip(places, pids, strict=True)
    ]
    head = HeadWatchdog(ray.get_runtime_context().gcs_address)
    lease = IdleLease(placement, devices, actors, board, head, placed - begun, ended - placed)
    try:
        yield lease
    finally:
        head.stop()
        lease.release()
