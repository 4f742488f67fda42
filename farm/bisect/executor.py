"""Tests several commits at once on the devices of one lease: one commit a device, its trials one after the other.

A trial that its metric wants elsewhere waits for a slot that is not the commit's own; those come before new commits.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from farm.bisect.metrics import Metric
from farm.errors import InfrastructureError
from farm.execution.in_flight import InFlightTrials, TrialOutcome
from farm.leasing.lease import Lease
from farm.model.attempts import MAX_ATTEMPTS
from jobs.records import Arm, TrialRecord, TrialRequest, TrialStatus
from kernel.clock import Clock

Done = Callable[["CommitTest"], None]


@dataclass(slots=True)
class CommitTest:
    """One commit under test."""

    position: int
    label: str  # names its log directories; unique within a round
    head: TrialRequest  # the commit's program
    base: TrialRequest  # the good commit's
    trials: list[TrialRecord] = field(default_factory=list)
    attempt: int = 0
    slot: int = -1  # of the trials before the one that is wanted elsewhere
    began: float = 0.0  # time.monotonic()
    took_s: float = 0.0

    def begin(self) -> None:
        """Start from nothing, on whatever device it is now: what another one measured is no pair to what follows."""
        self.trials = []
        self.began = self.began or time.monotonic()

    def end(self) -> None:
        """No more trials."""
        self.took_s = time.monotonic() - self.began


@dataclass(slots=True)
class BisectExecutor:
    """The devices of a lease. Not for concurrent use."""

    lease: Lease
    directory: Path  # of the bisect; each trial gets a private one below `logs/`
    clock: Clock
    trial_s: float
    metric: Metric
    _moving: list[CommitTest] = field(default_factory=list)  # those whose next trial waits for another device

    def test(self, probes: Sequence[CommitTest], done: Done) -> None:
        """Test every one of `probes`; `done` is called with each as it ends.

        A probe that is lost with its device begins anew on another, at most `MAX_ATTEMPTS` times in all, and then ends
        with the trial that was lost. Raises `InfrastructureError` where no device is left.
        """
        in_flight = InFlightTrials(self.lease, self.directory, self.clock, self.trial_s)
        waiting, flying = deque(probes), dict[int, CommitTest]()
        while waiting or flying or self._moving:
            for slot in self.lease.slots:
                if slot not in flying and (probe := self._next(slot, waiting)):
                    flying[slot] = probe
                    self._fly(in_flight, slot, probe)
            if not flying:
                if not self.lease.slots:
                    raise InfrastructureError("every device of the lease failed; see the logs of the last trials")
                self._settle(done)
                continue
            for outcome in in_flight.poll():
                self._take(outcome, in_flight, flying, done)

    def _next(self, slot: int, waiting: deque[CommitTest]) -> CommitTest | None:
        """What `slot` is to test next: the last trial of another slot's commit, or a new commit."""
        for probe in self._moving:
            if probe.slot != slot:
                self._moving.remove(probe)
                return probe
        if not waiting:
            return None
        probe = waiting.popleft()
        probe.begin()
        return probe

    def _settle(self, done: Done) -> None:
        """Commits that wait for another device when there is none end with what they have."""
        for probe in self._moving:
            probe.end()
            done(probe)
        self._moving.clear()

    def _take(
        self, outcome: TrialOutcome, in_flight: InFlightTrials, flying: dict[int, CommitTest], done: Done
    ) -> None:
        probe, slot = flying[outcome.slot], outcome.slot
        probe.trials.append(outcome.record)
        if outcome.record.status is TrialStatus.ERRORED and probe.attempt + 1 < MAX_ATTEMPTS and self._moved(slot):
            probe.attempt += 1
            probe.begin()
        elif outcome.record.status is not TrialStatus.OK:
            self._renewed(slot)
        wanted = self.metric.wanted(probe.trials)
        if wanted is not None and wanted.elsewhere:
            probe.slot = slot
            self._moving.append(flying.pop(slot))
        elif not self._fly(in_flight, slot, probe):
            del flying[slot]
            probe.end()
            done(probe)

    def _fly(self, in_flight: InFlightTrials, slot: int, probe: CommitTest) -> bool:
        """Start the next trial of `probe`, if it needs one."""
        wanted = self.metric.wanted(probe.trials)
        if wanted is None:
            return False
        request = probe.head if wanted.program is Arm.HEAD else probe.base
        label = f"{probe.label}-{wanted.program.value}"
        in_flight.start(slot, label, request, wanted.repeat, probe.attempt)
        return True

    def _moved(self, slot: int) -> bool:
        try:
            self.lease.replace(slot)
        except InfrastructureError:
            return False
        return True

    def _renewed(self, slot: int) -> None:
        """A fresh process after a failure; where there is none to be had, the lease has a slot less."""
        if slot in self.lease.slots:
            try:
                self.lease.renew(slot)
            except InfrastructureError:
                return
