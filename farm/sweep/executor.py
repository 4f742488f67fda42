"""One lease of a sweep: every device of it works until it has nothing left to do, time is over, or others go first.

Unlike in a run, a trial belongs to its device: it is never moved to another. A device whose worker died or hung gets a
fresh process and one more try; one that fails two jobs in a row that way gets no more work.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from farm.execution import gc_freeze
from farm.execution.in_flight import InFlightTrials, TrialOutcome
from farm.execution.slot_recovery import SlotRecovery
from farm.leasing.lease import Lease
from farm.model.sweep import Cell, cell_of
from farm.sweep.observer import SweepObserver
from farm.sweep.schedule import SweepCell
from farm.sweep.state import State
from farm.text import slug
from jobs.records import TrialRecord, TrialRequest, TrialStatus

MAX_ATTEMPTS = 2  # of one job on its device
MAX_FAILED_JOBS = 2  # in a row; then the device is left alone
_ASK_S = 1.0  # how often to ask whether others wait
WARM_UP = -1


@dataclass(frozen=True, slots=True)
class _SweepTurn:
    """A job that waits for its slot."""

    job: SweepCell
    attempt: int = 0


@dataclass(slots=True)
class SweepExecutor:
    """Drives one lease. `saw` is called with every attempt, as it ends."""

    state: State
    lease: Lease
    in_flight: InFlightTrials
    observer: SweepObserver
    saw: Callable[[list[TrialRecord]], None]
    _names: dict[int, str] = field(default_factory=dict)  # slot → its device, as far as we have told it work
    _mending: SlotRecovery = field(default_factory=SlotRecovery)
    _queues: dict[int, deque[_SweepTurn]] = field(default_factory=dict)
    _under_way: dict[int, _SweepTurn] = field(default_factory=dict)
    _idle: set[int] = field(default_factory=set)  # slots whose process waits for work
    _used: set[int] = field(default_factory=set)  # slots whose process has had work
    _warm: set[tuple[int, str]] = field(default_factory=set)  # (slot, case) the process has run before
    _failed: Counter[str] = field(default_factory=Counter)  # device → jobs failed in a row
    _leaving: bool = False
    _asked: float = 0.0  # time.monotonic()

    def run(self) -> None:
        """Work until there is no more to do here. Raises what the lease and the journal raise."""
        self._hold(self.lease.slots)
        with gc_freeze.frozen(), self._mending:
            while self._refill():
                self._work()

    def _refill(self) -> bool:
        """Queue what the devices at hand have to do; False where that is nothing, or nothing may be started."""
        if not self._may_go_on():
            return False
        slots = {device: slot for slot, device in self._names.items()}
        due = {slots[device]: jobs for device, jobs in self.state.due(at_hand=slots).items() if device in slots}
        self._queues = {slot: deque(map(_SweepTurn, jobs)) for slot, jobs in due.items()}
        again = sorted(self._used & set(due))
        if again:
            self.observer.looks_again([self._names[slot] for slot in again])
        for slot in again:
            self._renew(slot)  # in the same process a second look would meet what went wrong in the first
        return bool(due)

    def _work(self) -> None:
        """Empty the queues, as far as time allows."""
        while True:
            if self._may_go_on():
                for slot in sorted(self._idle):
                    self._start(slot)
            if not self.in_flight.busy and not self._mending:
                return
            outcome = self.in_flight.poll()
            self.saw([each.record for each in outcome])
            cells = [cell for cell in map(self._follow, outcome) if cell is not None]
            self.state.take(cells)
            for cell in cells:
                self.observer.measured(cell)
            self._take_mended()

    def _may_go_on(self) -> bool:
        if self.lease.yields and not self._leaving and time.monotonic() - self._asked >= _ASK_S:
            self._asked = time.monotonic()
            self._leaving = bool(self.lease.wanted_by_others())
        return not self._leaving and self.state.may_start()

    def _start(self, slot: int) -> None:
        """Give an idle slot its next trial; on a noisy platform a process warms up for each case first."""
        queue, plan = self._queues.get(slot, deque()), self.state.plan
        while queue and queue[0].job.case in self.state.doomed:
            queue.popleft()
        if not queue:
            return
        turn = queue.popleft()
        job = turn.job
        request = TrialRequest(
            kernel=plan.request.kernel,
            case=job.case,
            platform=plan.request.platform,
            input_set=plan.request.input_set,
            seed=job.seed,
        )
        cold = plan.noisy and (slot, job.case) not in self._warm
        repeat = WARM_UP if cold else job.repeat
        self.in_flight.start(slot, f"{slug(job.case)}-s{job.seed}", request, repeat, turn.attempt)
        self._under_way[slot] = turn
        self._idle.discard(slot)
        self._used.add(slot)

    def _follow(self, outcome: TrialOutcome) -> Cell | None:
        """What comes after a trial; its cell, unless it was a warm-up or is to be made again."""
        slot, record, turn = outcome.slot, outcome.record, self._under_way.pop(outcome.slot)
        device = self._names[slot]
        if record.status is TrialStatus.OK:
            self._failed[device] = 0
            self._idle.add(slot)
            if outcome.flight.repeat != WARM_UP:
                return cell_of(record)
            self._warm.add((slot, record.case))
            self._queues[slot].appendleft(turn)
            return None
        if record.status is TrialStatus.ERRORED and turn.attempt + 1 < MAX_ATTEMPTS:
            self._queues[slot].appendleft(_SweepTurn(turn.job, turn.attempt + 1))
            self._renew(slot)
            return None
        self._failed[device] += record.status is TrialStatus.ERRORED
        if self._failed[device] < MAX_FAILED_JOBS:
            self._renew(slot)
        else:
            assert record.failure is not None
            self._leave_alone(slot, f"{MAX_FAILED_JOBS} trials in a row failed: {record.failure.message}")
        return cell_of(record.model_copy(update={"repeat": turn.job.repeat}))

    def _renew(self, slot: int) -> None:
        """A fresh process for a slot, in the background."""
        self._idle.discard(slot)
        self._used.discard(slot)
        self._warm = {(other, case) for other, case in self._warm if other != slot}
        self._mending.begin(slot, self.lease.renew)

    def _take_mended(self) -> None:
        """Slots that have a process again, which is on another device where the canary failed on theirs."""
        mended, lost = self._mending.done()
        for slot in mended:
            if self.lease.device(slot).id != self._names[slot]:
                self._leave_alone(slot, "its canary failed")
        self._hold(list(mended))
        for slot, failure in lost.items():
            self._leave_alone(slot, failure.message)

    def _hold(self, slots: list[int]) -> None:
        """Take the devices of idle slots as they are now."""
        fresh = [slot for slot in slots if self._names.get(slot) != self.lease.device(slot).id]
        self._names.update((slot, self.lease.device(slot).id) for slot in fresh)
        self._idle.update(slots)
        if fresh:
            self.state.hold([self.lease.device(slot) for slot in fresh])
            self.observer.took([self._names[slot] for slot in fresh])

    def _leave_alone(self, slot: int, why: str) -> None:
        self.state.gone[self._names[slot]] = why
        self._queues[slot].clear()
