"""Exclusive use of N distinct devices at the same time.

Ray's placement groups hold the devices and one actor works on each, so no two leases share a device, and when the
driver or a worker dies Ray takes its devices back. There is no other lock. Every device starts with a fresh process and
a canary in it: nobody's work goes onto a device that cannot run a known small program.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError

from farm import cluster
from farm.errors import CapacityError, InfrastructureError
from farm.health import EventKind, Health, HealthBook, HealthEvent
from farm.line import Line
from farm.placement import Place, Placement, at_once
from farm.record import DeviceRecord
from farm.rows import now
from farm.selection import Selection
from farm.stages import StageBoard
from farm.turnstile import Ticket
from farm.worker import DeviceWorker, PlatformFactory, Ready

# Nobody's fault when Ray needs this long for a free device on a busy machine; longer means somebody else holds it.
PLACEMENT_GRACE_S = 5.0
POLL_S = 0.5
# A fresh process imports torch and PyPTO and runs the canary: seconds alone, more on a machine that is full.
WORKER_START_S = 240.0

Waiting = Callable[[list[Ticket], float], None]  # those ahead, seconds waited so far


class Lease:
    """N devices, numbered by slot. A slot keeps its number when its device is replaced."""

    def __init__(
        self,
        platform: PlatformFactory,
        name: str,
        cache: str,
        book: HealthBook,
        line: Line,
        selection: Selection,
        environment: Mapping[str, str],
        *,
        witnesses: bool,
    ) -> None:
        """`name` is the platform's; `environment` is added to that of every worker.

        With `witnesses` no two devices are of one physical card: what one card says twice is said once.
        """
        self._factory = platform
        self._platform = name
        self._cache = cache
        self._book = book
        self._health: Mapping[str, Health] = {}
        self._line = line
        self._environment = dict(environment)
        self._witnesses = witnesses
        self._placement = Placement(selection, self._refused)
        self._unfit: set[str] = set()  # failed its canary here, or shares a card with a device of this lease
        self._places: dict[int, Place] = {}
        self._actors: dict[int, Any] = {}
        self._devices: dict[int, DeviceRecord] = {}
        self._held: list[DeviceRecord] = []
        self._board = ray.remote(StageBoard).options(num_cpus=0).remote()
        self.queue_s = 0.0  # seconds spent waiting for devices, so far
        self.since = 0.0  # time.monotonic() of the last acquire

    def acquire(self, count: int, wait_s: float, on_wait: Waiting = lambda ahead, waited_s: None) -> None:
        """Take `count` devices at once, waiting up to `wait_s` for them to come free.

        `on_wait` is called about twice a second meanwhile. Raises `UsageError`, `CapacityError` or
        `InfrastructureError`; nothing is held then.
        """
        self._health = self._book.health(self._platform)
        self._placement.require(count)
        begin = time.monotonic()
        try:
            places = self._wait_for(count, max(wait_s, PLACEMENT_GRACE_S), on_wait)
        finally:
            self._line.leave()
            self.queue_s += time.monotonic() - begin
        if not places:
            free = cluster.free_count()
            raise CapacityError(count, free, "free now are", "the rest is leased; wait for them with --wait SECONDS")
        self.since = time.monotonic()
        self._places = dict(enumerate(places))
        try:
            self._ready(self._places)
        except BaseException:
            self._stop(list(self._actors))
            self._placement.release()
            raise

    def actor(self, slot: int) -> Any:
        """The worker that holds the device of `slot`."""
        return self._actors[slot]

    def device(self, slot: int) -> DeviceRecord:
        """The device `slot` holds now."""
        return self._devices[slot]

    @property
    def slots(self) -> list[int]:
        """All slots."""
        return sorted(self._places)

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

    @property
    def yields(self) -> bool:
        """Whether this lease is to be given up between two trials where somebody who goes first waits."""
        return self._line.yields

    def wanted_by_others(self) -> list[Ticket]:
        """Runs for which this one should give way at its next trial boundary; see `give_way`."""
        return self._line.wanted()

    def give_way(self, on_wait: Waiting = lambda ahead, waited_s: None) -> None:
        """Give every device back, and take as many again once those who go first have theirs.

        No trial may be under way. Raises what `acquire` raises.
        """
        count = len(self._places)
        self._stop(list(self._actors))
        self._placement.release()
        self._places, self._devices = {}, {}
        self.acquire(count, math.inf, on_wait)

    def replace(self, slot: int) -> bool:
        """Put `slot` on another device, or on its own with a fresh process where none is free; True for another.

        Raises `InfrastructureError` where not even that is to be had.
        """
        self._stop([slot])
        before = self._places[slot]
        self._unfit.add(before.id)
        spare = self._spare(slot)
        self._unfit.discard(before.id)
        if spare:
            self._places[slot] = spare[0]
        else:
            where = self._placement.again(before)
            if where is None:
                raise InfrastructureError(f"device {before.id} is lost and no other is free")
            self._places[slot] = where
        self._ready([slot])
        return self._places[slot].id != before.id

    def renew(self, slot: int) -> None:
        """A fresh process on the device of `slot`: a failed compile or run poisons what comes after it in its process.

        Raises `InfrastructureError`.
        """
        self._stop([slot])
        self._ready([slot])

    def release(self) -> None:
        """Give every device back. Safe to call twice, and after anything has died."""
        self._line.leave()
        self._stop(list(self._actors))
        ray.kill(self._board)
        self._placement.release()

    def _refused(self, device: str) -> bool:
        health = self._health.get(device)
        return device in self._unfit or (health is not None and not health.usable)

    def _wait_for(self, count: int, wait_s: float, on_wait: Waiting) -> list[Place]:
        """The places, once it is this run's turn and they are free; none where `wait_s` ends before."""
        begin = time.monotonic()

        def my_turn() -> bool:
            """Whether to go on waiting for Ray: there is time left, and nobody has come who goes first."""
            ahead = self._line.ahead(count)
            on_wait(ahead, time.monotonic() - begin)
            return not ahead and time.monotonic() - begin < wait_s

        while True:
            ahead = self._line.ahead(count)
            places = [] if ahead else self._placement.take(count, my_turn)
            waited_s = time.monotonic() - begin
            if places or waited_s >= wait_s:
                return places
            on_wait(ahead, waited_s)
            if ahead:
                time.sleep(POLL_S)

    def _ready(self, slots: Iterable[int]) -> None:
        """Start a worker on each slot's device, run the canary there, and move slots whose device is unfit.

        Raises `InfrastructureError` where a worker does not start or no fit device is left.
        """
        waiting = list(slots)
        while waiting:
            self._actors.update({slot: self._start(slot) for slot in waiting})
            told = {slot: self._asked(slot) for slot in waiting}
            self._book.observe([self._canary_event(slot, told[slot]) for slot in waiting])
            unfit = {}
            for slot in waiting:
                why = self._unfitness(slot, told[slot])
                if why:
                    unfit[slot] = why
                else:
                    self._take_over(slot, told[slot])
            for slot, why in unfit.items():
                self._move(slot, why)
            waiting = list(unfit)

    def _start(self, slot: int) -> Any:
        worker = ray.remote(DeviceWorker).options(
            num_cpus=0,
            resources={"NPU": 1},
            max_restarts=0,
            scheduling_strategy=self._places[slot].strategy,
            runtime_env={"env_vars": self._environment} if self._environment else None,
        )
        actor = worker.remote(slot, self._factory, self._cache, self._board)
        actor.ready.remote()
        return actor

    def _asked(self, slot: int) -> Ready:
        try:
            ready: Ready = ray.get(self._actors[slot].ready.remote(), timeout=WORKER_START_S)
        except (RayError, GetTimeoutError) as error:
            where = self._places[slot].id
            raise InfrastructureError(f"the worker of {where} did not start: {_first_line(error)}") from error
        return ready

    def _canary_event(self, slot: int, told: Ready) -> HealthEvent:
        return HealthEvent(
            device=self._places[slot].id,
            platform=self._platform,
            at=now(),
            kind=EventKind.CANARY_CLEAN if told.canary.healthy else EventKind.CANARY_FAILED,
            reason=told.canary.detail,
        )

    def _unfitness(self, slot: int, told: Ready) -> str:
        if not told.canary.healthy:
            return f"failed its canary: {told.canary.detail}"
        node = self._places[slot].node.id
        cards = {(held.node_id, held.card): held.id for other, held in self._devices.items() if other != slot}
        sharing = cards.get((node, told.card))
        return f"is on the same card as {sharing}" if self._witnesses and sharing else ""

    def _move(self, slot: int, why: str) -> None:
        """Another device for a slot whose own is unfit. Raises `InfrastructureError` where there is none."""
        unfit = self._places[slot].id
        self._unfit.add(unfit)
        self._devices.pop(slot, None)
        self._stop([slot])
        spare = self._spare(slot)
        if not spare:
            raise InfrastructureError(f"device {unfit} {why}, and no other is free")
        self._places[slot] = spare[0]

    def _spare(self, slot: int) -> list[Place]:
        others = [place for other, place in self._places.items() if other != slot]
        return self._placement.take(1, at_once(), others)

    def _take_over(self, slot: int, told: Ready) -> None:
        place = self._places[slot]
        record = DeviceRecord(
            id=place.id,
            node=place.node.name,
            node_id=place.node.id,
            index=place.index,
            soc=told.soc,
            platform=self._platform,
            pid=told.pid,
            card=told.card,
            canary=told.canary.detail,
        )
        self._devices[slot] = record
        if record.id not in {held.id for held in self._held}:
            self._held.append(record)

    def _stop(self, slots: Sequence[int]) -> None:
        for slot in slots:
            actor = self._actors.pop(slot, None)
            if actor is not None:
                ray.kill(actor)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]
