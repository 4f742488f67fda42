"""One lease of a sweep: every device of it works until it has nothing left to do, time is over, or others go first.

Unlike in a run, a trial belongs to its device: it is never moved to another. A device whose worker died or hung gets a
fresh process before the trial is made again; one that fails two jobs in a row that way gets no more work.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from farm.execution import failure_policy
from farm.execution.deadlines import RunDeadlines
from farm.execution.dispatch_loop import DispatchLoop, FreshProcess, Next, TrialStart
from farm.execution.in_flight import InFlightTrials, TrialOutcome
from farm.execution.observer import Observer
from farm.leasing.device_lease import DeviceLease, Replaced
from farm.model.run import DeviceRecord
from farm.model.sweep import Cell, cell_of
from farm.sweep.observer import SweepObserver
from farm.sweep.schedule import SweepCell
from farm.sweep.state import State
from farm.text import slugs
from jobs.records import Failure, TrialRecord, TrialRequest, TrialStatus

MAX_FAILED_JOBS = 2  # in a row; then the device is left alone
WARM_UP = -1


@dataclass(frozen=True, slots=True)
class _SweepTurn:
    """A job that waits for its slot."""

    job: SweepCell
    attempt: int = 0


@dataclass(slots=True)
class SweepExecutor:
    """The work of one lease. `saw` is called with the attempts of each round, as they end."""

    state: State
    lease: DeviceLease
    in_flight: InFlightTrials
    deadlines: RunDeadlines
    observer: SweepObserver
    saw: Callable[[list[TrialRecord]], None]
    _names: dict[int, str] = field(default_factory=dict)  # slot → its device, as far as it was given work
    _queues: dict[int, deque[_SweepTurn]] = field(default_factory=dict)
    _working: int = 0  # slots with a trial under way, or on their way to a fresh process
    _used: set[int] = field(default_factory=set)  # slots whose process has had work
    _stale: set[int] = field(default_factory=set)  # slots that get a fresh process before their next trial
    _warm: set[tuple[int, str]] = field(default_factory=set)  # (slot, case) the process has run before
    _replaced: dict[int, bool] = field(default_factory=dict)  # slot → whether its last device failed its canary
    _fresh: list[TrialRecord] = field(default_factory=list)  # ended, and not handed on yet
    _failed: Counter[str] = field(default_factory=Counter)  # device → jobs failed in a row
    _labels: dict[str, str] = field(init=False)  # case → its part of the names of directories

    def __post_init__(self) -> None:
        """Name each case's directories: two cases never share one."""
        self._labels = slugs(self.state.plan.request.cases)

    def run(self) -> None:
        """Work until there is no more to do here. Raises what the lease, the deadlines and the journal raise."""
        loop: DispatchLoop[_SweepTurn] = DispatchLoop(
            self.lease, self.in_flight, self.deadlines, Observer(), returns=False
        )
        loop.run(self)

    def seat(self, devices: Mapping[int, DeviceRecord], *, fresh: bool) -> None:
        """Take devices as they are now; a slot that is on another one could not use the old, mostly for its canary."""
        if fresh:
            self._working -= len(devices)
            self._warm = {(slot, case) for slot, case in self._warm if slot not in devices}
            self._used -= devices.keys()
            self._stale -= devices.keys()
        for slot, device in devices.items():
            if self._names.get(slot, device.id) != device.id:
                unfit = self._replaced.pop(slot, True)
                why = "its canary failed" if unfit else "it could no longer be used"
                self._leave_alone(slot, why, unfit=unfit)
        unknown = {slot: device for slot, device in devices.items() if self._names.get(slot) != device.id}
        if unknown:
            self._names.update((slot, device.id) for slot, device in unknown.items())
            self.state.hold(list(unknown.values()))
            self.observer.took([device.id for device in unknown.values()])

    def next(self, idle: Collection[int]) -> TrialStart[_SweepTurn] | FreshProcess | None:
        """The next trial; once nothing is left or under way, whatever the state has due for these devices."""
        if not self.state.may_start():
            return None
        slot = self._with_work(idle)
        if slot is None and not self._working and self._refill():
            slot = self._with_work(idle)
        if slot is None:
            return None
        self._working += 1
        if slot in self._stale:
            return FreshProcess(slot)
        return self._launch(slot)

    def ended(self, launch: TrialStart[_SweepTurn], outcome: TrialOutcome, *, may_retry: bool) -> Next:
        """Keep the trial's cell, unless it is to be made again."""
        self._working -= 1
        self._fresh.append(outcome.record)
        cell, after = self._follow(launch, outcome.record, may_retry=may_retry)
        if cell is not None:
            self.state.take([cell])
            if cell.repeat >= 0:
                self.observer.measured(cell)
        self._working += after is Next.RENEW
        return after

    def replaced(self, slot: int, replaced: Replaced) -> None:
        """A sweep moves no trial; why the slot had to move decides how the device it left is reported."""
        self._replaced[slot] = bool(replaced.unfit)

    def lost(self, slot: int, failure: Failure) -> None:
        """The device gets no more work."""
        self._working -= 1
        self._leave_alone(slot, failure.message)

    def keep(self) -> None:
        """Make the cells of the round durable, and hand on its attempts."""
        self.state.keep()
        if self._fresh:
            fresh, self._fresh = self._fresh, []
            self.saw(fresh)

    def unfinished(self) -> bool:
        """Whether a slot has jobs left."""
        return any(self._queues.values())

    def _with_work(self, idle: Collection[int]) -> int | None:
        for slot in idle:
            queue = self._queues.get(slot, deque())
            while queue and queue[0].job.case in self.state.doomed:
                queue.popleft()
            if queue:
                return slot
        return None

    def _refill(self) -> bool:
        """Queue what the devices at hand have to do; False where that is nothing."""
        slots = {device: slot for slot, device in self._names.items()}
        due = {slots[device]: jobs for device, jobs in self.state.due(at_hand=slots).items() if device in slots}
        self._queues = {slot: deque(map(_SweepTurn, jobs)) for slot, jobs in due.items()}
        again = sorted(self._used & set(due))
        if again:
            self.observer.looks_again([self._names[slot] for slot in again])
        self._stale.update(again)  # in the same process a second look would meet what went wrong in the first
        return bool(due)

    def _launch(self, slot: int) -> TrialStart[_SweepTurn]:
        """Start a slot's next trial; on a noisy platform a process warms up for each case first."""
        plan, turn = self.state.plan, self._queues[slot].popleft()
        job = turn.job
        request = TrialRequest(
            kernel=plan.request.kernel,
            case=job.case,
            platform=plan.request.platform,
            input_set=plan.request.input_set,
            seed=job.seed,
            tuning={"seed": str(job.seed), "beside": ""} if plan.request.suite else {},
        )
        fresh = bool(plan.request.suite)  # each trial of a file is a process of its own, which nothing warms up
        cold = plan.noisy and not fresh and (slot, job.case) not in self._warm
        repeat = WARM_UP if cold else job.repeat
        self._used.add(slot)
        return TrialStart(turn, (slot,), f"{self._labels[job.case]}-s{job.seed}", request, repeat, turn.attempt)

    def _follow(
        self, launch: TrialStart[_SweepTurn], record: TrialRecord, *, may_retry: bool
    ) -> tuple[Cell | None, Next]:
        (slot,), turn = launch.slots, launch.subject
        device = self._names[slot]
        if record.status is TrialStatus.OK:
            self._failed[device] = 0
            if launch.repeat != WARM_UP:
                return cell_of(record), Next.FREE
            self._warm.add((slot, record.case))
            self._queues[slot].appendleft(turn)
            return self.state.warm_up(cell_of(record)), Next.FREE
        if may_retry:
            self._queues[slot].appendleft(_SweepTurn(turn.job, turn.attempt + 1))
            return None, Next.RENEW
        cell = cell_of(record.model_copy(update={"repeat": turn.job.repeat}))
        self._failed[device] += record.status is TrialStatus.ERRORED
        if self._failed[device] < MAX_FAILED_JOBS:
            own = bool(self.state.plan.request.suite)  # each trial of a file has a process of its own
            return cell, Next.FREE if own and failure_policy.leaves_device_well(record) else Next.RENEW
        assert record.failure is not None
        self._leave_alone(slot, f"{MAX_FAILED_JOBS} trials in a row failed: {record.failure.message}")
        return cell, Next.LEAVE

    def _leave_alone(self, slot: int, why: str, *, unfit: bool = False) -> None:
        self.state.leave(self._names[slot], why, unfit=unfit)
        self._queues.get(slot, deque()).clear()
