"""Drives leased devices through a plan: in parallel across devices, in sequence on one.

An infrastructure fault (a dead worker, a hang, a record that blames the device) moves the slot to another device and
tries again, as often as `farm.execution.failure_policy` allows. A failure that is the kernel's is kept and never tried
again. Nothing is kept here: every record is handed on as it lands, so a plan of any length needs the memory of one
round.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from farm.execution import gc_freeze
from farm.execution.deadlines import RunDeadlines
from farm.execution.failure_policy import FailurePolicy
from farm.execution.in_flight import InFlightTrials, TrialOutcome
from farm.execution.observer import Observer
from farm.execution.plan import Plan, PlannedTrial, label
from farm.execution.slot_recovery import SlotRecovery
from farm.leasing.lease import Lease, card_of
from farm.leasing.preemption import PreemptionCheck
from jobs.records import Arm, Failure, TrialRecord, TrialRequest, TrialStatus
from kernel.clock import Clock

_STAGES_S = 0.25  # how often to ask what each worker does


@dataclass(frozen=True, slots=True)
class _Turn:
    """One planned trial that waits for its slot."""

    planned: PlannedTrial
    attempt: int = 0


@dataclass(slots=True)
class TrialExecutor:
    """Runs plans on one lease. One instance a run; not for concurrent use."""

    lease: Lease
    directory: Path  # of the run
    clock: Clock
    limits: RunDeadlines
    observer: Observer
    keep: Callable[[list[TrialRecord]], None]  # called with the kept attempts of each round, as they end
    blame: FailurePolicy = field(default_factory=FailurePolicy)
    base_blame: FailurePolicy = field(
        default_factory=FailurePolicy
    )  # of the base's program: no evidence against the head's
    problems: list[Failure] = field(default_factory=list)
    _queues: dict[int, deque[_Turn]] = field(default_factory=dict)
    _fresh: list[TrialRecord] = field(default_factory=list)  # ended, and not handed on yet
    _drawn: float = 0.0  # time.monotonic() of the last such question

    def run(self, plan: Plan) -> None:
        """Make every trial of `plan`; returns when each has ended or its slot has run out of attempts.

        Raises `LimitError` where the lease or the run takes too long, and what `Lease.give_way` raises.
        """
        in_flight = InFlightTrials(self.lease, self.directory, self.clock, self.limits.timeouts.trial_s)
        planned = plan.by_slot()
        self._queues = {slot: deque(map(_Turn, planned.get(slot, []))) for slot in self.lease.slots}
        idle = set(self.lease.slots)
        try:
            with gc_freeze.frozen(), SlotRecovery() as mending:
                self._drive(plan, in_flight, mending, idle)
        finally:
            self._hand_on()  # what an interrupt met between its landing and its keeping

    def _drive(self, plan: Plan, in_flight: InFlightTrials, mending: SlotRecovery, idle: set[int]) -> None:
        leave = PreemptionCheck(self.lease)
        while True:
            leaving = leave.wanted()
            if not leaving:
                self._start(idle, in_flight, plan.requests)
            self._hand_on()
            if not in_flight.busy and not mending:
                if not leaving or not any(self._queues.values()):
                    return
                self.lease.yield_devices(self.observer.waiting)
                continue
            self.limits.check(in_flight.under_way())
            self._land(in_flight, mending, idle)

    def _hand_on(self) -> None:
        """Keep the trials that ended: after the devices have their next trials, so that none waits for the store."""
        if self._fresh:
            fresh, self._fresh = self._fresh, []
            self.keep(fresh)

    def _start(self, idle: set[int], in_flight: InFlightTrials, requests: dict[str, TrialRequest]) -> None:
        """Give every idle slot its next trial."""
        for slot in list(idle):
            if self._queues[slot]:
                turn = self._queues[slot].popleft()
                named = label(turn.planned.case, turn.planned.arm)
                in_flight.start(slot, named, requests[named], turn.planned.repeat, turn.attempt)
                idle.discard(slot)

    def _land(self, in_flight: InFlightTrials, mending: SlotRecovery, idle: set[int]) -> None:
        """Take in what ended in one round. Slots that can go on are idle afterwards, or being mended."""
        self._report_stages(in_flight)
        for ended in in_flight.poll():
            self._blame_of(ended.record.arm).take(ended.record, card_of(self.lease.device(ended.slot)))
            if ended.flight.repeat >= 0 or ended.record.status is not TrialStatus.OK:
                self._fresh.append(ended.record)
            self.observer.measured(ended.record, ended.flight.repeat >= 0)
            self._follow(ended, mending, idle)
        mended, lost = mending.done()
        idle.update(mended)
        for replaced in mended.values():
            if replaced is not None and replaced.unfit:
                self.blame.distrust(replaced.unfit)
                self.base_blame.distrust(replaced.unfit)
        for slot, failure in lost.items():
            self.problems.append(failure)
            self._queues[slot].clear()
        if self.blame.kernel:
            for queue in self._queues.values():  # proven guilty: what is under way may end, nothing more is started
                queue.clear()
        if self.base_blame.kernel:
            for queue in self._queues.values():
                _drop(queue, lambda turn: turn.planned.arm is Arm.BASE)

    def _follow(self, ended: TrialOutcome, mending: SlotRecovery, idle: set[int]) -> None:
        slot, flight, queue = ended.slot, ended.flight, self._queues[ended.slot]
        case, arm = flight.request.case, flight.request.arm
        if ended.record.status is TrialStatus.OK:
            idle.add(slot)
        elif ended.record.status is TrialStatus.FAILED:
            _drop(queue, lambda turn: (turn.planned.case, turn.planned.arm) == (case, arm))
            if queue:
                mending.begin(slot, self.lease.renew)
        elif ended.record.failure is not None and self._blame_of(arm).may_retry(ended.record.failure, flight.attempt):
            queue.appendleft(_Turn(PlannedTrial(case, slot, flight.repeat, arm), flight.attempt + 1))
            mending.begin(slot, self.lease.replace)
        elif arm is Arm.BASE:
            _drop(queue, lambda turn: turn.planned.arm is Arm.BASE)  # the head can still be judged without it
            mending.begin(slot, self.lease.replace)
        else:
            queue.clear()

    def _blame_of(self, arm: Arm) -> FailurePolicy:
        return self.base_blame if arm is Arm.BASE else self.blame

    def _report_stages(self, in_flight: InFlightTrials) -> None:
        if time.monotonic() - self._drawn < _STAGES_S:
            return
        self._drawn = time.monotonic()
        for slot, stage in self.lease.stages().items():
            if slot in in_flight.busy:
                self.observer.working(self.lease.device(slot), slot, stage)


def _drop(queue: deque[_Turn], unwanted: Callable[[_Turn], bool]) -> None:
    """Take out what would say nothing new: a program that failed a case on a device is not tried again there."""
    remaining = [turn for turn in queue if not unwanted(turn)]
    queue.clear()
    queue.extend(remaining)
