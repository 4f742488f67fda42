"""Drives leased devices through a plan: in parallel across devices, in sequence on one.

An infrastructure fault (a dead worker, a hang, a record that blames the device) moves the slot to another device and
tries again, at most `MAX_ATTEMPTS` times in all. A failure that is the kernel's is kept and never tried again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from farm.errors import InfrastructureError
from farm.flight import POLL_S, Flights, Landed, first_line
from farm.lease import Lease
from farm.plan import Plan, PlannedTrial
from farm.progress import Observer
from farm.verdict import kernel_faults
from jobs.records import BuildRecord, Failure, Fault, Request, TrialRecord, TrialStatus
from kernel.clock import Clock

MAX_ATTEMPTS = 3


@dataclass(slots=True)
class Execution:
    """Runs plans on one lease and keeps every attempt. One instance a run; not for concurrent use."""

    lease: Lease
    directory: Path  # of the run
    clock: Clock
    trial_timeout_s: float
    observer: Observer
    keep: Callable[[TrialRecord], None]  # called once for each kept attempt, as it ends
    trials: list[TrialRecord] = field(default_factory=list)
    problems: list[Failure] = field(default_factory=list)

    def build(self, plan: Plan) -> list[BuildRecord]:
        """Build every case of `plan` once, cases spread over the devices; one lost with its worker is tried again."""
        records: dict[str, BuildRecord] = {}
        for _ in range(MAX_ATTEMPTS):
            wanted = [case for case in plan.requests if case not in records or _is_lost(records[case])]
            if not wanted:
                break
            records.update(self._build_once([plan.requests[case] for case in wanted]))
        for record in records.values():
            self.observer.built(record)
        return [records[case] for case in plan.requests]

    def run(self, plan: Plan) -> None:
        """Make every trial of `plan`; returns when each has ended or its slot has run out of attempts."""
        flights = Flights(self.lease, self.directory, self.clock, self.trial_timeout_s)
        queues = {slot: deque(plan.of_slot(slot)) for slot in self.lease.slots}
        for slot, queue in queues.items():
            _start_next(flights, slot, queue, plan)
        while flights.busy:
            landed = flights.land()
            self._report_stages(flights.busy)
            for ended in landed:
                self._follow(ended, flights, queues[ended.slot], plan)
            if kernel_faults(self.trials):
                for queue in queues.values():  # proven guilty: what is under way may end, nothing more is started
                    queue.clear()

    def _follow(self, ended: Landed, flights: Flights, queue: deque[PlannedTrial], plan: Plan) -> None:
        slot, flight, record = ended.slot, ended.flight, ended.record
        kept = flight.repeat >= 0 or record.status is not TrialStatus.OK
        if kept:
            self.trials.append(record)
            self.keep(record)
        self.observer.measured(record, kept)
        if record.status is TrialStatus.OK:
            _start_next(flights, slot, queue, plan)
        elif record.status is TrialStatus.FAILED:
            _drop_case(queue, record.case)
            if queue and self._renewed(slot):
                _start_next(flights, slot, queue, plan)
        elif self._may_retry(flight.attempt) and self._moved(slot):
            flights.start(slot, flight.label, flight.request, flight.repeat, flight.attempt + 1)
        else:
            queue.clear()

    def _may_retry(self, attempt: int) -> bool:
        return attempt + 1 < MAX_ATTEMPTS and not kernel_faults(self.trials)

    def _moved(self, slot: int) -> bool:
        return self._had(slot, self.lease.replace)

    def _renewed(self, slot: int) -> bool:
        return self._had(slot, self.lease.renew)

    def _had(self, slot: int, worker: Callable[[int], object]) -> bool:
        try:
            worker(slot)
        except InfrastructureError as error:
            self.problems.append(Failure(fault=Fault.NODE, kind="no-replacement", message=str(error)))
            return False
        return True

    def _report_stages(self, slots: Iterable[int]) -> None:
        stages = self.lease.stages()
        for slot in slots:
            if slot in stages:
                self.observer.working(self.lease.device(slot), slot, stages[slot])

    def _build_once(self, requests: list[Request]) -> dict[str, BuildRecord]:
        slots = self.lease.slots
        waiting = {}
        for number, request in enumerate(requests):
            slot = slots[number % len(slots)]
            waiting[self.lease.actor(slot).build.remote(request)] = (slot, request.case)
        records = {}
        deadline = time.monotonic() + self.trial_timeout_s * len(requests)
        while waiting and time.monotonic() < deadline:
            done, _ = ray.wait(list(waiting), timeout=POLL_S)
            self._report_stages({slot for slot, _ in waiting.values()})
            for reference in done:
                slot, case = waiting.pop(reference)
                records[case] = self._built(slot, case, reference)
        for slot, case in waiting.values():
            records[case] = self._lost_build(slot, case, "hang", f"no answer within {self.trial_timeout_s:g} s")
        return records

    def _built(self, slot: int, case: str, reference: Any) -> BuildRecord:
        try:
            record: BuildRecord = ray.get(reference)
        except RayError as error:
            return self._lost_build(slot, case, "worker-died", first_line(error))
        if record.failure is not None:
            self._renewed(slot)
        return record

    def _lost_build(self, slot: int, case: str, kind: str, message: str) -> BuildRecord:
        where = self.lease.device(slot).id
        self._moved(slot)
        return BuildRecord(
            address="",
            fingerprint="",
            case=case,
            tuning={},
            cached=False,
            build_s=0.0,
            clock=self.clock,
            failure=Failure(fault=Fault.DEVICE, kind=kind, message=f"on {where}: {message}"),
        )


def _start_next(flights: Flights, slot: int, queue: deque[PlannedTrial], plan: Plan) -> None:
    if queue:
        planned = queue.popleft()
        flights.start(slot, planned.case, plan.requests[planned.case], planned.repeat, 0)


def _is_lost(build: BuildRecord) -> bool:
    return build.failure is not None and build.failure.fault is not Fault.KERNEL


def _drop_case(queue: deque[PlannedTrial], case: str) -> None:
    """A kernel that failed a case on a device is not tried again there; other cases go on."""
    remaining = [planned for planned in queue if planned.case != case]
    queue.clear()
    queue.extend(remaining)
