"""Drives leased devices through planned trials: in parallel across devices, in sequence on one.

A trial ends in one of three ways: its record comes back; its worker dies; its deadline passes and the worker is killed.
The last two, and a record that blames the device, are infrastructure faults: the slot moves to another device and tries
again, at most `MAX_ATTEMPTS` times in all. A failure that is the kernel's is kept and never tried again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorDiedError, RayError

from farm.errors import InfrastructureError
from farm.lease import Lease
from farm.plan import Plan, PlannedTrial
from farm.progress import Observer
from farm.verdict import kernel_faults
from jobs.records import BuildRecord, Failure, Fault, Request, TrialRecord, TrialStatus
from kernel.clock import Clock

MAX_ATTEMPTS = 3
_POLL_S = 0.25


@dataclass(slots=True)
class _Flight:
    """One trial under way on one slot."""

    planned: PlannedTrial
    attempt: int
    reference: Any  # Ray's reference to the TrialRecord to come
    deadline: float  # time.monotonic() after which it counts as hung
    directory: Path


@dataclass(slots=True)
class Execution:
    """Runs plans on one lease and keeps every attempt. One instance a run; not for concurrent use."""

    lease: Lease
    directory: Path  # of the run; each trial gets a private directory below `logs/`
    clock: Clock
    trial_timeout_s: float
    observer: Observer
    keep: Callable[[TrialRecord], None]  # called once for each kept attempt, as it ends
    trials: list[TrialRecord] = field(default_factory=list)
    problems: list[Failure] = field(default_factory=list)
    _flights: dict[int, _Flight] = field(default_factory=dict)

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

    def _build_once(self, requests: list[Request]) -> dict[str, BuildRecord]:
        slots = self.lease.slots
        waiting = {}
        for number, request in enumerate(requests):
            slot = slots[number % len(slots)]
            waiting[self.lease.actor(slot).build.remote(request)] = (slot, request.case)
        records = {}
        deadline = time.monotonic() + self.trial_timeout_s * len(requests)
        while waiting and time.monotonic() < deadline:
            done, _ = ray.wait(list(waiting), timeout=_POLL_S)
            self._report_stages({slot for slot, _ in waiting.values()})
            for reference in done:
                slot, case = waiting.pop(reference)
                records[case] = self._built(slot, case, reference)
        for slot, case in waiting.values():
            records[case] = self._lost_build(slot, case, "hang", f"no answer within {self.trial_timeout_s:g} s")
        return records

    def run(self, plan: Plan) -> None:
        """Make every trial of `plan`; returns when each has ended or its slot has run out of attempts."""
        queues = {slot: deque(plan.of_slot(slot)) for slot in self.lease.slots}
        for slot, queue in queues.items():
            self._next(slot, queue, plan)
        while self._flights:
            references = [flight.reference for flight in self._flights.values()]
            ray.wait(references, timeout=_POLL_S)
            self._report_stages(self._flights)
            for slot in list(self._flights):
                self._check(slot, queues[slot], plan)
            if kernel_faults(self.trials):
                for queue in queues.values():  # proven guilty: what is under way may end, nothing more is started
                    queue.clear()

    def _next(self, slot: int, queue: deque[PlannedTrial], plan: Plan) -> None:
        if queue:
            self._fly(slot, queue.popleft(), 0, plan)

    def _fly(self, slot: int, planned: PlannedTrial, attempt: int, plan: Plan) -> None:
        device = self.lease.device(slot)
        name = f"{planned.case}-{device.id.replace('/', '-')}-r{planned.repeat}-a{attempt}"
        directory = self.directory / "logs" / name.replace("r-1", "warmup")
        reference = self.lease.actor(slot).trial.remote(
            plan.requests[planned.case], device.id, planned.repeat, attempt, str(directory)
        )
        deadline = time.monotonic() + self.trial_timeout_s
        self._flights[slot] = _Flight(planned, attempt, reference, deadline, directory)

    def _check(self, slot: int, queue: deque[PlannedTrial], plan: Plan) -> None:
        flight = self._flights[slot]
        done, _ = ray.wait([flight.reference], timeout=0)
        if done:
            record = self._landed(slot, flight)
        elif time.monotonic() > flight.deadline:
            message = f"no answer within {self.trial_timeout_s:g} s; the worker was killed"
            record = self._lost(slot, flight, "hang", message)
        else:
            return
        del self._flights[slot]
        self._end(slot, flight, record, queue, plan)

    def _landed(self, slot: int, flight: _Flight) -> TrialRecord:
        try:
            record: TrialRecord = ray.get(flight.reference)
        except RayError as error:
            kind = "worker-died" if isinstance(error, ActorDiedError) else "unreachable"
            return self._lost(slot, flight, kind, f"{type(error).__name__}: {_first_line(error)}")
        return _relative_to_run(record, flight.directory.relative_to(self.directory))

    def _lost(self, slot: int, flight: _Flight, kind: str, message: str) -> TrialRecord:
        fault = Fault.NODE if kind == "unreachable" else Fault.DEVICE
        return TrialRecord(
            case=flight.planned.case,
            device=self.lease.device(slot).id,
            repeat=flight.planned.repeat,
            attempt=flight.attempt,
            status=TrialStatus.ERRORED,
            clock=self.clock,
            log=str(flight.directory.relative_to(self.directory)),
            failure=Failure(fault=fault, kind=kind, message=message),
        )

    def _end(self, slot: int, flight: _Flight, record: TrialRecord, queue: deque[PlannedTrial], plan: Plan) -> None:
        kept = flight.planned.repeat >= 0 or record.status is not TrialStatus.OK
        if kept:
            self.trials.append(record)
            self.keep(record)
        self.observer.measured(record, kept)
        if record.status is TrialStatus.OK:
            self._next(slot, queue, plan)
        elif record.status is TrialStatus.FAILED:
            _drop_case(queue, flight.planned.case)
            self._next(slot, queue, plan)
        elif self._may_retry(flight) and self._moved(slot):
            self._fly(slot, flight.planned, flight.attempt + 1, plan)
        else:
            queue.clear()

    def _may_retry(self, flight: _Flight) -> bool:
        return flight.attempt + 1 < MAX_ATTEMPTS and not kernel_faults(self.trials)

    def _moved(self, slot: int) -> bool:
        try:
            self.lease.replace(slot)
        except InfrastructureError as error:
            self.problems.append(Failure(fault=Fault.NODE, kind="no-replacement", message=str(error)))
            return False
        return True

    def _report_stages(self, slots: Iterable[int]) -> None:
        stages = self.lease.stages()
        for slot in slots:
            if slot in stages:
                self.observer.working(self.lease.device(slot), slot, stages[slot])

    def _built(self, slot: int, case: str, reference: Any) -> BuildRecord:
        try:
            record: BuildRecord = ray.get(reference)
        except RayError as error:
            return self._lost_build(slot, case, "worker-died", _first_line(error))
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


def _relative_to_run(record: TrialRecord, directory: Path) -> TrialRecord:
    """A trial names its log relative to its own directory; the run's readers start from the run's."""
    failure = record.failure
    if failure is not None and failure.log:
        failure = failure.model_copy(update={"log": str(directory / failure.log)})
    log = str(directory / record.log) if record.log else ""
    return record.model_copy(update={"log": log, "failure": failure})


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _is_lost(build: BuildRecord) -> bool:
    return build.failure is not None and build.failure.fault is not Fault.KERNEL


def _drop_case(queue: deque[PlannedTrial], case: str) -> None:
    """A kernel that failed a case on a device is not tried again there; other cases go on."""
    remaining = [planned for planned in queue if planned.case != case]
    queue.clear()
    queue.extend(remaining)
