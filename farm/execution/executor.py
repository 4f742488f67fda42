"""The matrix placement: each slot makes the trials that the plan has for it, one after the other.

A failure that is the kernel's is kept and never tried again. An infrastructure fault moves the slot to another device,
which makes the trial again. Nothing is kept in memory: every record is handed on as it ends, so a plan of any length
needs the memory of one round.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from farm.execution.deadlines import RunDeadlines
from farm.execution.dispatch_loop import DispatchLoop, FreshProcess, Next, TrialStart
from farm.execution.failure_policy import FailurePolicy
from farm.execution.in_flight import InFlightTrials, TrialOutcome
from farm.execution.observer import Observer
from farm.execution.plan import Plan, PlannedTrial, label
from farm.leasing.device_lease import DeviceLease, Replaced, card_of
from farm.model.run import DeviceRecord
from jobs.records import Arm, Failure, TrialRecord, TrialRequest, TrialStatus


@dataclass(frozen=True, slots=True)
class _Turn:
    """One planned trial that waits for its slot."""

    planned: PlannedTrial
    attempt: int = 0


@dataclass(slots=True)
class TrialExecutor:
    """Runs plans on one lease; the workload of `farm run` for a kernel. One instance a run; not for concurrent use."""

    lease: DeviceLease
    in_flight: InFlightTrials
    limits: RunDeadlines
    observer: Observer
    save: Callable[[list[TrialRecord]], None]  # called with the attempts of each round, as they end
    blame: FailurePolicy = field(default_factory=FailurePolicy)
    base_blame: FailurePolicy = field(default_factory=FailurePolicy)  # of the base's program: no evidence for the head
    problems: list[Failure] = field(default_factory=list)
    _requests: dict[str, TrialRequest] = field(default_factory=dict)
    _queues: dict[int, deque[_Turn]] = field(default_factory=dict)
    _stale: set[int] = field(default_factory=set)  # slots whose process has seen a failure
    _fresh: list[TrialRecord] = field(default_factory=list)  # ended, and not handed on yet

    def run(self, plan: Plan) -> None:
        """Make every trial of `plan`; returns when each has ended or its slot has run out of attempts.

        Raises what `DispatchLoop.run` raises.
        """
        planned = plan.by_slot()
        self._requests = plan.requests
        self._queues = {slot: deque(map(_Turn, planned.get(slot, []))) for slot in self.lease.slots}
        loop: DispatchLoop[_Turn] = DispatchLoop(self.lease, self.in_flight, self.limits, self.observer)
        loop.run(self)

    def seat(self, devices: Mapping[int, DeviceRecord], *, fresh: bool) -> None:
        """Forget what the slots' former processes have seen."""
        if fresh:
            self._stale -= devices.keys()

    def next(self, idle: Collection[int]) -> TrialStart[_Turn] | FreshProcess | None:
        """The next trial of the first slot of `idle` that has one."""
        for slot in idle:
            queue = self._queues.get(slot)
            if not queue:
                continue
            if slot in self._stale:
                return FreshProcess(slot)
            turn = queue.popleft()
            named = label(turn.planned.case, turn.planned.arm)
            return TrialStart(turn, (slot,), named, self._requests[named], turn.planned.repeat, turn.attempt)
        return None

    def ended(self, launch: TrialStart[_Turn], outcome: TrialOutcome, *, may_retry: bool) -> Next:
        """Weigh the trial, keep it, and say what its slot does next."""
        record, warm_up = outcome.record, launch.repeat < 0
        blame = self._blame_of(record.arm)
        blame.take(record, card_of(self.lease.device(outcome.slot)))
        self._fresh.append(record)
        self.observer.measured(record, not warm_up)
        after = self._after(launch, record.status, retry=may_retry and not blame.kernel)
        self._drop_what_is_proven()
        return after

    def replaced(self, slot: int, replaced: Replaced) -> None:
        """A card that failed its canary bears no witness against the program."""
        if replaced.unfit:
            self.blame.distrust(replaced.unfit)
            self.base_blame.distrust(replaced.unfit)

    def lost(self, slot: int, failure: Failure) -> None:
        """Note the problem; the trials of the slot are not made."""
        self.problems.append(failure)
        self._queues[slot].clear()

    def keep(self) -> None:
        """Hand on what has ended."""
        if self._fresh:
            fresh, self._fresh = self._fresh, []
            self.save(fresh)

    def unfinished(self) -> bool:
        """Whether a slot has trials left."""
        return any(self._queues.values())

    def _after(self, launch: TrialStart[_Turn], status: TrialStatus, *, retry: bool) -> Next:
        (slot,), planned = launch.slots, launch.subject.planned
        queue = self._queues[slot]
        if status is TrialStatus.OK:
            return Next.FREE
        self._stale.add(slot)
        if retry:
            queue.appendleft(_Turn(planned, launch.attempt + 1))
            return Next.REPLACE
        if status is TrialStatus.FAILED:
            _drop(queue, lambda turn: (turn.planned.case, turn.planned.arm) == (planned.case, planned.arm))
            return Next.FREE  # with a fresh process, if there is anything left for it
        if planned.arm is Arm.BASE:
            _drop(queue, lambda turn: turn.planned.arm is Arm.BASE)  # the head can still be judged without it
            return Next.REPLACE
        queue.clear()
        return Next.FREE

    def _drop_what_is_proven(self) -> None:
        """Nothing more is started of a program that is proven guilty; what is under way may end."""
        if self.blame.kernel:
            for queue in self._queues.values():
                queue.clear()
        if self.base_blame.kernel:
            for queue in self._queues.values():
                _drop(queue, lambda turn: turn.planned.arm is Arm.BASE)

    def _blame_of(self, arm: Arm) -> FailurePolicy:
        return self.base_blame if arm is Arm.BASE else self.blame


def _drop(queue: deque[_Turn], unwanted: Callable[[_Turn], bool]) -> None:
    """Take out what would say nothing new: a program that failed a case on a device is not tried again there."""
    remaining = [turn for turn in queue if not unwanted(turn)]
    queue.clear()
    queue.extend(remaining)
