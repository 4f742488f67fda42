"""Tests several commits at once on the devices of one lease: one commit a device, its trials one after the other.

A trial that its metric wants elsewhere waits for a slot that is not the commit's own; those come before new commits.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from farm.bisect.targets import CommitMetric
from farm.errors import InfrastructureError
from farm.execution import failure_policy
from farm.execution.deadlines import RunDeadlines
from farm.execution.dispatch_loop import DispatchLoop, FreshProcess, Next, TrialStart
from farm.execution.in_flight import InFlightTrials, TrialOutcome
from farm.execution.observer import Observer
from farm.leasing.device_lease import DeviceLease, Replaced
from farm.model.run import DeviceRecord
from jobs.records import Arm, Failure, TrialRecord, TrialRequest


@dataclass(slots=True, eq=False)
class CommitTest:
    """One commit under test."""

    position: int
    label: str  # names its log directories; unique within a round
    head: TrialRequest  # the commit's program, without its target
    base: TrialRequest  # the good commit's
    targets: tuple[str, ...]  # what is run of it, in this order
    trials: list[TrialRecord] = field(default_factory=list)
    attempt: int = 0
    slot: int = -1  # where its trials are made, but for those wanted elsewhere; −1 before the first
    began: float = 0.0  # time.monotonic()
    took_s: float = 0.0

    def begin(self) -> None:
        """Start from nothing: what another device measured cannot be paired with what follows."""
        self.trials, self.slot = [], -1
        self.began = self.began or time.monotonic()

    def end(self) -> None:
        """No more trials."""
        self.took_s = time.monotonic() - self.began


Done = Callable[[CommitTest], None]


@dataclass(slots=True)
class BisectExecutor:
    """The workload of a bisect, round after round on one lease. Not for concurrent use."""

    lease: DeviceLease
    in_flight: InFlightTrials
    deadlines: RunDeadlines
    metric: CommitMetric
    _done: Done = field(default=lambda probe: None)
    _waiting: deque[CommitTest] = field(default_factory=deque)
    _own: dict[int, CommitTest] = field(default_factory=dict)  # slot → the commit whose next trial it makes
    _moving: list[CommitTest] = field(default_factory=list)  # those whose next trial waits for another device

    def test(self, probes: Sequence[CommitTest], done: Done) -> None:
        """Test every one of `probes`; `done` is called with each as it ends.

        A commit that is lost with its device begins again on another, as often as the attempts policy allows, and then
        ends with the trial that was lost. Raises what `DispatchLoop.run` raises, and `InfrastructureError` where no
        device is left.
        """
        self._done, self._waiting = done, deque(probes)
        self._own, self._moving = {}, []
        loop: DispatchLoop[CommitTest] = DispatchLoop(self.lease, self.in_flight, self.deadlines, Observer())
        loop.run(self)
        for probe in self._moving:  # no other device is left: they end with what they have
            self._end(probe)
        if self._waiting:
            raise InfrastructureError("every device of the lease failed; see the logs of the last trials")

    def seat(self, devices: Mapping[int, DeviceRecord], *, fresh: bool) -> None:
        """Slots need no memory of their devices: each trial's record has its own."""

    def next(self, idle: Collection[int]) -> TrialStart[CommitTest] | FreshProcess | None:
        """The next trial of a slot's own commit, the last one of another slot's, or the first one of a new commit."""
        for slot in sorted(idle):
            probe = self._own.get(slot) or self._other(slot) or self._new()
            if probe is None:
                continue
            wanted = self.metric.wanted(probe.targets, probe.trials)
            assert wanted is not None, "a commit that needs no more trials has ended"
            self._own[slot] = probe
            if probe.slot < 0:
                probe.slot = slot
            target, trial = wanted
            program = probe.head if trial.program is Arm.HEAD else probe.base
            part = f"-t{probe.targets.index(target) + 1}" if len(probe.targets) > 1 else ""
            label = f"{probe.label}{part}-{trial.program.value}"
            request = program.model_copy(update={"case": target})
            return TrialStart(probe, (slot,), label, request, trial.repeat, probe.attempt)
        return None

    def ended(self, launch: TrialStart[CommitTest], outcome: TrialOutcome, *, may_retry: bool) -> Next:
        """Keep the trial, and see whether its commit needs more."""
        probe, (slot,) = launch.subject, launch.slots
        probe.trials.append(outcome.record)
        if may_retry:
            probe.attempt += 1
            return Next.REPLACE  # `replaced` starts the commit again, once there is a device
        wanted = self.metric.wanted(probe.targets, probe.trials)
        moves = wanted is not None and wanted[1].elsewhere and slot == probe.slot
        if wanted is None or moves:
            del self._own[slot]
        if wanted is None:
            self._end(probe)
        elif moves:
            self._moving.append(probe)
        # Every program has a process of its own; whether its device is still well after a failure, a canary tells.
        return Next.FREE if failure_policy.leaves_device_well(outcome.record) else Next.RENEW

    def replaced(self, slot: int, replaced: Replaced) -> None:
        """The commit of a slot that has a device again starts from nothing."""
        if slot in self._own:
            self._own[slot].begin()

    def lost(self, slot: int, failure: Failure) -> None:
        """A commit whose device is lost waits for another one; without any it ends with the trial that was lost."""
        probe = self._own.pop(slot, None)
        if probe is None:
            return
        if self.lease.slots:
            self._waiting.appendleft(probe)
        else:
            self._end(probe)

    def keep(self) -> None:
        """Nothing is kept before its commit ends."""

    def unfinished(self) -> bool:
        """Whether a commit has trials left."""
        return bool(self._waiting or self._own or self._moving)

    def _other(self, slot: int) -> CommitTest | None:
        """A commit whose last trial is wanted on another slot than its own."""
        for probe in self._moving:
            if probe.slot != slot:
                self._moving.remove(probe)
                return probe
        return None

    def _new(self) -> CommitTest | None:
        if not self._waiting:
            return None
        probe = self._waiting.popleft()
        probe.begin()
        return probe

    def _end(self, probe: CommitTest) -> None:
        probe.end()
        self._done(probe)
