"""The one loop that runs trials on leased devices. Run, suite, sweep, bisect and tune are workloads of it.

The loop owns what is the same for all of them: deadlines, preemption, retries, recovery of slots, and the order of one
round (start what can be started, let the workload keep what ended, wait for the next trials to end, recover slots). A
`Workload` owns what differs: which trial a free slot runs next, and what a trial that ended means.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from farm.execution import attempts, gc_freeze
from farm.execution.deadlines import RunDeadlines
from farm.execution.in_flight import InFlightTrials, TrialOutcome
from farm.execution.observer import Observer
from farm.execution.slot_recovery import SlotRecovery
from farm.leasing.device_lease import DeviceLease, Replaced
from farm.leasing.preemption import PreemptionCheck
from farm.model.run import DeviceRecord
from jobs.records import Failure, TrialRequest

STAGES_EVERY_S = 0.25  # how often the workers are asked for their stage

Subject = TypeVar("Subject")  # what a workload calls one piece of its work


class Next(enum.Enum):
    """What happens to the slots of a trial that ended."""

    FREE = "free"  # they take their next trial in the same process
    RENEW = "renew"  # a fresh process on the same device first
    REPLACE = "replace"  # another device first, or a fresh process where none is free
    LEAVE = "leave"  # they get no more work


@dataclass(frozen=True, slots=True)
class TrialStart(Generic[Subject]):
    """One trial to be started now."""

    subject: Subject
    slots: tuple[int, ...]  # idle ones; the first runs the trial, the others are kept free beside it
    label: str  # names its log directory
    request: TrialRequest
    repeat: int
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class FreshProcess:
    """An idle slot is to get a fresh process before its next trial."""

    slot: int


class Workload(Protocol[Subject]):
    """The trials of one workflow. Called from one thread."""

    def seat(self, devices: Mapping[int, DeviceRecord], *, fresh: bool) -> None:
        """The slots `devices` are idle, called for every slot at the start.

        With `fresh` each has a fresh process: the devices were given back meanwhile, or the slots were recovered.
        """
        ...

    def next(self, idle: Collection[int]) -> TrialStart[Subject] | FreshProcess | None:
        """Return what to start now on slots of `idle`, which ascend; None where nothing can be started on them."""
        ...

    def ended(self, launch: TrialStart[Subject], outcome: TrialOutcome, *, may_retry: bool) -> Next:
        """Take in a trial that ended. With `may_retry` the attempts policy allows another attempt."""
        ...

    def replaced(self, slot: int, replaced: Replaced) -> None:
        """`slot` was put on another device, or has a fresh process because no other was free."""
        ...

    def lost(self, slot: int, failure: Failure) -> None:
        """`slot` could not be recovered and gets no more work."""
        ...

    def keep(self) -> None:
        """Make what has ended durable. Called after the devices have their next trials, so that none waits for it."""
        ...

    def unfinished(self) -> bool:
        """Return whether trials are left that no slot has yet."""
        ...


@dataclass(slots=True)
class DispatchLoop(Generic[Subject]):
    """Runs workloads on one lease. Not for concurrent use."""

    lease: DeviceLease
    in_flight: InFlightTrials
    deadlines: RunDeadlines
    observer: Observer
    returns: bool = True  # after preemption: wait for as many devices again, instead of ending
    _idle: set[int] = field(default_factory=set)
    _launches: dict[int, TrialStart[Subject]] = field(default_factory=dict)  # by their first slot
    _asked_stages: float = 0.0  # time.monotonic()

    def run(self, work: Workload[Subject]) -> None:
        """Run `work` until it has nothing left that can be started.

        Raises `LimitError` and `HeadLostError`, and what `Lease.yield_devices` and the workload raise. What has ended
        by then is kept.
        """
        preemption = PreemptionCheck(self.lease)
        self._seat(work, self.lease.slots, fresh=False)
        try:
            with gc_freeze.frozen(), SlotRecovery() as recovery:
                while self._round(work, recovery, preemption):
                    pass
        finally:
            work.keep()  # what an interrupt met between its end and its keeping

    def _round(self, work: Workload[Subject], recovery: SlotRecovery, preemption: PreemptionCheck) -> bool:
        """One round; False once there is nothing left to wait for."""
        draining = preemption.wanted()
        if not draining:
            self._start(work, recovery)
        work.keep()
        if not self._launches and not recovery:
            return draining and self._yield(work)
        self.deadlines.check(self.in_flight.under_way())
        self._report_stages()
        for outcome in self.in_flight.poll():
            self._follow(work, recovery, outcome)
        self._recover(work, recovery)
        return True

    def _start(self, work: Workload[Subject], recovery: SlotRecovery) -> None:
        idle = dict.fromkeys(sorted(self._idle))  # sorted once: for each of thousands it would cost more than the start
        while idle:
            chosen = work.next(idle.keys())
            if chosen is None:
                return
            slots = (chosen.slot,) if isinstance(chosen, FreshProcess) else chosen.slots
            if isinstance(chosen, FreshProcess):
                recovery.begin(chosen.slot, self.lease.renew)
            else:
                self.in_flight.start(slots[0], chosen.label, chosen.request, chosen.repeat, chosen.attempt)
                self._launches[slots[0]] = chosen
            self._idle.difference_update(slots)
            for slot in slots:
                del idle[slot]

    def _yield(self, work: Workload[Subject]) -> bool:
        """Give the devices to who goes first, and go on with as many afterwards; False where that is not wanted."""
        if not self.returns or not work.unfinished():
            return False
        self._idle.clear()
        self.lease.yield_devices(self.observer.waiting)
        self._seat(work, self.lease.slots, fresh=True)
        return True

    def _follow(self, work: Workload[Subject], recovery: SlotRecovery, outcome: TrialOutcome) -> None:
        launch = self._launches.pop(outcome.slot)
        after = work.ended(launch, outcome, may_retry=attempts.may_retry(outcome.record, launch.attempt))
        if after is Next.FREE:
            self._idle.update(launch.slots)
        elif after is not Next.LEAVE:
            for slot in launch.slots:
                recovery.begin(slot, self.lease.renew if after is Next.RENEW else self.lease.replace)

    def _recover(self, work: Workload[Subject], recovery: SlotRecovery) -> None:
        recovered, lost = recovery.done()
        for slot, replaced in recovered.items():
            if replaced is not None:
                work.replaced(slot, replaced)
        for slot, failure in lost.items():
            work.lost(slot, failure)
        if recovered:
            self._seat(work, recovered, fresh=True)

    def _seat(self, work: Workload[Subject], slots: Collection[int], *, fresh: bool) -> None:
        self._idle.update(slots)
        work.seat({slot: self.lease.device(slot) for slot in slots}, fresh=fresh)

    def _report_stages(self) -> None:
        if time.monotonic() - self._asked_stages < STAGES_EVERY_S:
            return
        self._asked_stages = time.monotonic()
        for slot, stage in self.lease.stages().items():
            if slot in self._launches:
                self.observer.working(self.lease.device(slot), slot, stage)
