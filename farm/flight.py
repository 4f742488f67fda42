"""Trials under way: one a slot, each with a deadline. Knows how a trial ends, not what comes after it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorDiedError, RayError

from farm.lease import Lease
from jobs.records import Failure, Fault, Request, TrialRecord, TrialStatus
from kernel.clock import Clock

POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Flight:
    """One trial under way on one slot."""

    label: str  # whoever started it knows it by this
    request: Request
    repeat: int
    attempt: int
    reference: Any  # Ray's reference to the TrialRecord to come
    deadline: float  # time.monotonic() after which it counts as hung
    directory: Path


@dataclass(frozen=True, slots=True)
class Landed:
    """A flight that has ended, and how."""

    slot: int
    flight: Flight
    record: TrialRecord


class Flights:
    """At most one trial on each slot of a lease."""

    def __init__(self, lease: Lease, directory: Path, clock: Clock, timeout_s: float) -> None:
        self._lease = lease
        self._directory = directory  # of the run; each trial gets a private one below `logs/`
        self._clock = clock
        self._timeout_s = timeout_s
        self._flights: dict[int, Flight] = {}

    @property
    def busy(self) -> frozenset[int]:
        """Slots with a trial under way."""
        return frozenset(self._flights)

    def start(self, slot: int, label: str, request: Request, repeat: int, attempt: int) -> None:
        """Start a trial of `request` on the device `slot` holds now."""
        device = self._lease.device(slot)
        number = "warmup" if repeat < 0 else f"r{repeat}"
        directory = self._directory / "logs" / f"{label}-{device.id.replace('/', '-')}-{number}-a{attempt}"
        reference = self._lease.actor(slot).trial.remote(request, device.id, repeat, attempt, str(directory))
        deadline = time.monotonic() + self._timeout_s
        self._flights[slot] = Flight(label, request, repeat, attempt, reference, deadline, directory)

    def land(self) -> list[Landed]:
        """The trials that have ended, after waiting up to `POLL_S` for one; a hung or lost one ends as a record too."""
        ray.wait([flight.reference for flight in self._flights.values()], timeout=POLL_S)
        ended = []
        for slot, flight in list(self._flights.items()):
            record = self._outcome(slot, flight)
            if record is not None:
                del self._flights[slot]
                ended.append(Landed(slot, flight, record))
        return ended

    def _outcome(self, slot: int, flight: Flight) -> TrialRecord | None:
        done, _ = ray.wait([flight.reference], timeout=0)
        if done:
            return self._answer(slot, flight)
        if time.monotonic() > flight.deadline:
            return self._lost(slot, flight, "hang", f"no answer within {self._timeout_s:g} s; the worker was killed")
        return None

    def _answer(self, slot: int, flight: Flight) -> TrialRecord:
        try:
            record: TrialRecord = ray.get(flight.reference)
        except RayError as error:
            kind = "worker-died" if isinstance(error, ActorDiedError) else "unreachable"
            return self._lost(slot, flight, kind, f"{type(error).__name__}: {first_line(error)}")
        return _relative_to_run(record, flight.directory.relative_to(self._directory))

    def _lost(self, slot: int, flight: Flight, kind: str, message: str) -> TrialRecord:
        fault = Fault.NODE if kind == "unreachable" else Fault.DEVICE
        return TrialRecord(
            case=flight.request.case,
            device=self._lease.device(slot).id,
            repeat=flight.repeat,
            attempt=flight.attempt,
            seed=flight.request.seed,
            status=TrialStatus.ERRORED,
            clock=self._clock,
            log=str(flight.directory.relative_to(self._directory)),
            failure=Failure(fault=fault, kind=kind, message=message),
        )


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its type's name where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _relative_to_run(record: TrialRecord, directory: Path) -> TrialRecord:
    """A trial names its log relative to its own directory; the run's readers start from the run's."""
    failure = record.failure
    if failure is not None and failure.log:
        failure = failure.model_copy(update={"log": str(directory / failure.log)})
    log = str(directory / record.log) if record.log else ""
    return record.model_copy(update={"log": log, "failure": failure})
