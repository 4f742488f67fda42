"""Exclusive use of N distinct devices at the same time.

Ray's placement groups hold the devices and one actor works on each, so no two leases share a device, and when the
driver or a worker dies Ray takes its devices back. There is no other lock. Every device starts with a fresh process and
a canary in it: nobody's work goes onto a device that cannot run a known small program.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from farm.cluster import connection
from farm.cluster.head_call import HeadSilentError
from farm.cluster.head_watchdog import HeadWatchdog
from farm.errors import CapacityError, InfrastructureError
from farm.leasing import worker_pool
from farm.leasing.allocation import DeviceAllocation, nodes_first
from farm.leasing.device_jobs import Ready
from farm.leasing.device_lease import PlatformFactory, Replaced, Waiting, card_of
from farm.leasing.device_queue import QueueEntry
from farm.leasing.examination import DeviceExamination, problem
from farm.leasing.placement import Locked, Placement, at_once
from farm.leasing.queue_client import QueueClient
from farm.leasing.worker import DeviceKeeper, DeviceWorker
from farm.leasing.worker_pool import Workers
from farm.model.attempts import MAX_ATTEMPTS
from farm.model.device_health import Health, HealthBook
from farm.model.run import DeviceRecord
from farm.model.selection import Selection, Spread
from farm.process.start_limit import HostOverloadedError
from jobs.records import TrialRequest
from jobs.sandbox.spec import Confinement

# Nobody's fault when Ray needs this long for a free device on a busy machine; longer means somebody else holds it.
PLACEMENT_GRACE_S = 5.0
POLL_S = 0.5
_CLOSE_S = 3.0  # for each step of giving everything back; a person who interrupts a run waits ten at most


class Lease:
    """Follows `DeviceLease` with devices from Ray. A slot keeps its number when its device is replaced.

    `replace` and `renew` may be called from several threads, each for a slot of its own.
    """

    def __init__(
        self,
        platform: PlatformFactory,
        name: str,
        cache: str,
        book: HealthBook,
        line: QueueClient,
        selection: Selection,
        environment: Mapping[str, str],
        head: HeadWatchdog,
        *,
        witnesses: bool,
        together: bool = False,
        worker: type[DeviceWorker] = DeviceWorker,
        confinement: Confinement | None = None,
        on_locked: Locked = lambda device, who: None,
        ahead: Sequence[TrialRequest] = (),
    ) -> None:
        """`name` is the platform's; `environment` is added to that of every worker, each of which is a `worker`.

        With `witnesses` no two devices are of one physical card: two reports of a card count once. With `together`
        they come from as few nodes as possible. `confinement` has the programs that are not installed. `on_locked` is
        called with each device that is passed over because a program outside of Ray has locked it, and with who it is.
        `ahead` is built on each node while devices are still being leased.
        """
        self._workers = Workers(platform, cache, environment, worker, confinement, ahead)
        self._examination = DeviceExamination(self._workers, name, book)
        self._platform = name
        self._book = book
        self._health: Mapping[str, Health] = {}
        self._line = line
        self._head = head
        self._witnesses = witnesses
        self._on_locked = on_locked
        self._locked: dict[str, str] = {}  # found so at the last look: device → who has locked it
        self._placement = Placement(selection, self._refused, together=together, on_locked=self._found_locked)
        self._unfit: set[str] = set()  # failed its canary here, or shares a card with a device of this lease
        self._changing = threading.RLock()  # for all below; nobody holds it while waiting for a worker or for Ray
        # Where devices must be apart from each other, two slots must not look for one at the same time.
        self._looking = threading.Lock() if selection.spread is Spread.NODES else contextlib.nullcontext()
        self._places: dict[int, DeviceAllocation] = {}
        self._devices: dict[int, DeviceRecord] = {}
        self._seated: set[int] = set()  # slots that hold the device that `_devices` has of them
        self._held: list[DeviceRecord] = []
        self.queue_s = 0.0  # seconds spent waiting for devices, so far
        self.since = 0.0  # time.monotonic() of the last acquire

    def acquire(self, count: int, wait_s: float, on_wait: Waiting = lambda ahead, waited_s: None) -> None:
        """Take `count` devices at once, waiting up to `wait_s` for them to come free.

        `on_wait` is called about twice a second meanwhile. Raises `UsageError`, `CapacityError` or
        `InfrastructureError`; nothing is held then.
        """
        self._health = self._book.health(self._platform)
        self._placement.require(count)
        self._locked.clear()
        begin = time.monotonic()
        try:
            places = self._wait_for(count, max(wait_s, PLACEMENT_GRACE_S), on_wait)
        finally:
            self._line.leave()
            self.queue_s += time.monotonic() - begin
        if not places:
            rest = "; ".join(["the rest is leased", *(f"{device} is {who}" for device, who in self._locked.items())])
            remedy = f"{rest}; wait for them with --wait SECONDS"
            raise CapacityError(count, connection.free_count(), "free now are", remedy)
        self.since = time.monotonic()
        self._places = dict(enumerate(places))
        try:
            self._ready(nodes_first(self._places))
        except InfrastructureError:
            self._workers.stop(self._workers.slots)
            self._placement.release()
            raise

    def start_build(self, slot: int, request: TrialRequest) -> Any:
        """See `DeviceLease`."""
        return self._workers.actor(slot).build.remote(request)

    def start_trial(
        self, slot: int, request: TrialRequest, device_id: str, repeat: int, attempt: int, directory: str
    ) -> Any:
        """See `DeviceLease`."""
        return self._workers.actor(slot).trial.remote(request, device_id, repeat, attempt, directory)

    def ended(self, calls: Sequence[Any], timeout_s: float) -> list[Any]:
        """See `DeviceLease`."""
        return worker_pool.ended(calls, timeout_s)

    def result(self, call: Any) -> Any:
        """See `DeviceLease`."""
        return worker_pool.result(call)

    def device(self, slot: int) -> DeviceRecord:
        """The device `slot` holds now."""
        return self._devices[slot]

    @property
    def slots(self) -> list[int]:
        """Slots with a worker; one whose device is lost and could not be replaced is none any more."""
        return self._workers.slots

    @property
    def held(self) -> list[DeviceRecord]:
        """Every device this lease has held, replaced ones too, in the order it got them."""
        return list(self._held)

    def require_head(self) -> None:
        """Raise `HeadLostError` where the cluster's head node does not answer any more."""
        self._head.check()

    def stages(self) -> dict[int, str]:
        """What each slot is doing, as far as it is known."""
        return self._workers.stages()

    @property
    def yields(self) -> bool:
        """Whether this lease is to be given up between two trials where somebody who goes first waits."""
        return self._line.yields

    def wanted_by_others(self) -> list[QueueEntry]:
        """Runs for which this one should give way at its next trial boundary; see `give_way`."""
        return self._line.wanted()

    def yield_devices(self, on_wait: Waiting = lambda ahead, waited_s: None) -> None:
        """Give every device back, and take as many again once those who go first have theirs.

        No trial may be under way. Raises what `acquire` raises.
        """
        count = len(self._places)
        self._workers.stop(self._workers.slots)
        self._placement.release()
        self._places, self._devices, self._seated = {}, {}, set()
        self.acquire(count, math.inf, on_wait)

    def replace(self, slot: int) -> Replaced:
        """Put `slot` on another device, or on its own with a fresh process where none is free.

        The device that is left gets a canary first, in a fresh process: a device that fails it bears no witness against
        the kernel. That process is the slot's where it stays. Raises `InfrastructureError` where even the old device is
        unavailable.
        """
        self._workers.stop([slot])
        left, left_device = self._places[slot], self._devices[slot]
        found = self._examined(slot)
        fit = found[0].canary.healthy if found is not None else None
        try:
            moved = self._take_other_place(slot, fit)
            if found is not None and not moved:
                why = self._problem(slot, *found)
                if why is None:
                    return Replaced(False, "")
                self._move(slot, why)
        except InfrastructureError:
            self._workers.stop([slot])
            self._seated.discard(slot)
            self._placement.give_back(left)
            raise
        if self._places[slot] != left:
            self._workers.stop([slot])
            self._seated.discard(slot)
            self._placement.give_back(left)
        self._ready([slot])
        return Replaced(self._places[slot].id != left.id, card_of(left_device) if fit is False else "")

    def _take_other_place(self, slot: int, fit: bool | None) -> bool:
        """Put `slot` where it goes on, and return whether that is elsewhere.

        `fit` is the result of the canary on its own device. Raises `InfrastructureError`.
        """
        left = self._places[slot]
        self._unfit.add(left.id)
        try:
            moved = self._take_spare(slot)
        finally:
            self._unfit.discard(left.id)
        if moved:
            return True
        if fit is False:
            raise InfrastructureError(f"device {left.id} fails its canary and no other is free")
        if not self._placement.still_there(left):
            raise InfrastructureError(f"device {left.id} is lost and no other is free")
        return False

    def renew(self, slot: int) -> Replaced | None:
        """A fresh process on the device of `slot`: a failed compile or run poisons what comes after it in its process.

        Returns the new place where the device is unfit, or its host overloaded. Raises `InfrastructureError`.
        """
        left, left_device = self._places[slot], self._devices[slot]
        self._workers.stop([slot])
        self._ready([slot])
        if self._places[slot] == left:
            return None
        return Replaced(True, card_of(left_device) if self._examination.failed(left.id) else "")

    def hand_over(self) -> bool:
        """Have each device held by a process that does not use it, for a program that is none of the farm's.

        Returns whether the devices' locks are held, so that `npu-lock` must not take them again. Raises
        `InfrastructureError`, also where somebody has locked a device in between.
        """
        slots = self._workers.slots
        self._workers.stop(slots)
        for slot in slots:
            self._workers.start(slot, self._places[slot], DeviceKeeper)
        told = {slot: self._workers.ready(slot, self._places[slot]) for slot in slots}
        for slot, ready in told.items():
            if ready.locked:
                raise InfrastructureError(f"device {self._places[slot].id} is {ready.locked}; try again")
        return all(ready.holds_lock for ready in told.values())

    def release(self) -> None:
        """Give every device back, and take none any more. Safe to call twice, and after anything has died.

        Where the head does not answer this does not wait for it: the devices are free as soon as the head answers
        again, or this process has ended.
        """
        limit_s = _CLOSE_S if self._head.answers() else 0.0
        for close in (self._line.close, self._workers.release, self._placement.close):
            with contextlib.suppress(HeadSilentError):
                close(limit_s)

    def _examined(self, slot: int) -> tuple[Ready, Health] | None:
        """What a fresh process, which goes on, says of the device of `slot`; None where it cannot be asked any more."""
        if not self._placement.still_there(self._places[slot]):
            return None
        self._workers.start(slot, self._places[slot])
        with contextlib.suppress(InfrastructureError):  # its node is gone, or too busy to say anything of the device
            found = self._examination.ask(slot, self._places[slot])
            if not found[0].locked:
                return found
        self._workers.stop([slot])
        return None

    def _found_locked(self, device: str, who: str) -> None:
        with self._changing:
            known = self._locked.get(device) == who
            self._locked[device] = who
        if not known:
            self._on_locked(device, who)

    def _refused(self, device: str) -> bool:
        health = self._health.get(device)
        return device in self._unfit or (health is not None and not health.usable)

    def _wait_for(self, count: int, wait_s: float, on_wait: Waiting) -> list[DeviceAllocation]:
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

        Raises `InfrastructureError` where no fit device is left, or a slot has met `MAX_ATTEMPTS` unfit ones.
        """
        waiting = list(slots)
        try:
            for _ in range(MAX_ATTEMPTS):
                for slot in waiting:
                    self._workers.start(slot, self._places[slot])
                unfit = {slot: why for slot in waiting if (why := self._unfitness(slot))}
                for slot, why in unfit.items():
                    self._move(slot, why)
                waiting = list(unfit)
                if not waiting:
                    return
            last = next(iter(unfit.values()))
            raise InfrastructureError(f"{MAX_ATTEMPTS} devices in a row could not be used; the last: {last}")
        except InfrastructureError:
            self._workers.stop(waiting)
            for slot in waiting:
                self._seated.discard(slot)
                self._placement.give_back(self._places[slot])
            raise

    def _unfitness(self, slot: int) -> InfrastructureError | None:
        """Why the device of `slot` cannot be used; None where it can, and is the slot's from now on."""
        try:
            return self._problem(slot, *self._examination.ask(slot, self._places[slot]))
        except InfrastructureError as error:
            return error

    def _problem(self, slot: int, told: Ready, known: Health) -> InfrastructureError | None:
        """The same, once its worker has answered."""
        device = self._places[slot].id
        if told.locked:
            self._found_locked(device, told.locked)
        else:
            self._locked.pop(device, None)
        if (found := problem(device, told, known)) is not None:
            return found
        with self._changing:  # of two slots that find themselves on one card, one is the first
            held = [self._devices[other] for other in self._seated if other != slot]
            cards = {(each.node_id, each.card): each.id for each in held}
            sharing = cards.get((self._places[slot].node.id, told.card))
            if self._witnesses and sharing:
                return InfrastructureError(f"device {device} is on the same card as {sharing}")
            self._take_over(slot, told)
        return None

    def _move(self, slot: int, why: InfrastructureError) -> None:
        """Another device for a slot whose own is unfit. Raises `InfrastructureError` where there is none."""
        left = self._places[slot]
        self._unfit.add(left.id)
        if isinstance(why, HostOverloadedError):
            self._placement.pass_over(left.node.id)
        with self._changing:
            self._seated.discard(slot)
            self._devices.pop(slot, None)
        self._workers.stop([slot])
        moved = self._take_spare(slot)
        overloaded = isinstance(why, HostOverloadedError)
        if overloaded or left.id in self._locked:  # that is over at some time, and the device as good as any
            self._unfit.discard(left.id)
        if not moved:
            raise why if overloaded else InfrastructureError(f"{why}; no other device is free")
        self._placement.give_back(left)

    def _take_spare(self, slot: int) -> bool:
        """Put `slot` on a device that is free; False where none is. Its old one is still held."""
        with self._looking:
            mine = [place for other, place in list(self._places.items()) if other != slot]
            others = [place for place in mine if self._placement.holds(place)]
            spare = self._placement.take(1, at_once(), others)
            if spare:
                self._places[slot] = spare[0]
        return bool(spare)

    def _take_over(self, slot: int, told: Ready) -> None:
        record = told.device(self._platform, self._places[slot])
        self._devices[slot] = record
        self._seated.add(slot)
        if record.id not in {held.id for held in self._held}:
            self._held.append(record)
