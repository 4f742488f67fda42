"""Trials under way: one a slot, each with a deadline. Knows how a trial ends, not what comes after it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm.leasing.device_lease import DeviceLease, WorkerLostError
from jobs import disk_space
from jobs.faults import failures
from jobs.records import Fault, TrialRecord, TrialRequest, TrialStatus
from kernel.clock import Clock
from kernel.platforms.protocol import LOG_NAME

POLL_S = 0.25
_LOG_TAIL_BYTES = 4 << 20  # enough to find the first fault; a runaway log must not fill the driver


@dataclass(frozen=True, slots=True)
class InFlightTrial:
    """One trial under way on one slot."""

    label: str  # whoever started it knows it by this
    request: TrialRequest
    repeat: int
    attempt: int
    reference: Any  # the lease's, to the TrialRecord to come
    deadline: float  # time.monotonic() after which it counts as hung
    directory: Path


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """A flight that has ended, and how."""

    slot: int
    flight: InFlightTrial
    record: TrialRecord


class InFlightTrials:
    """At most one trial on each slot of a lease."""

    def __init__(self, lease: DeviceLease, directory: Path, clock: Clock, timeout_s: float) -> None:
        self._lease = lease
        self._directory = directory  # of the run; each trial gets a private one below `logs/`
        self._clock = clock
        self._timeout_s = timeout_s
        self._flights: dict[int, InFlightTrial] = {}
        self._slots: dict[Any, int] = {}  # reference → slot

    @property
    def busy(self) -> frozenset[int]:
        """Slots with a trial under way."""
        return frozenset(self._flights)

    def start(self, slot: int, label: str, request: TrialRequest, repeat: int, attempt: int) -> None:
        """Start a trial of `request` on the device `slot` holds now."""
        device = self._lease.device(slot)
        number = "warmup" if repeat < 0 else f"r{repeat}"
        directory = self._directory / "logs" / f"{label}-{device.id.replace('/', '-')}-{number}-a{attempt}"
        reference = self._lease.start_trial(slot, request, device.id, repeat, attempt, str(directory))
        deadline = time.monotonic() + self._timeout_s
        self._flights[slot] = InFlightTrial(label, request, repeat, attempt, reference, deadline, directory)
        self._slots[reference] = slot

    def poll(self) -> list[TrialOutcome]:
        """The trials that have ended, after waiting up to `POLL_S` for one; a hung or lost one ends as a record too.

        Raises `HeadLostError` where the cluster has lost its head.
        """
        self._lease.require_head()
        references = list(self._slots)
        if not references:
            time.sleep(POLL_S)
            return []
        done = self._lease.ended(references, POLL_S)
        ended = [self._ended(self._slots[reference]) for reference in done]
        return ended + self._overdue()

    def under_way(self) -> list[str]:
        """Describe in words what is running, for the message of an early end."""
        return [
            f"{flight.label} r{flight.repeat} on {self._lease.device(slot).id}"
            for slot, flight in sorted(self._flights.items())
        ]

    def _overdue(self) -> list[TrialOutcome]:
        now = time.monotonic()
        late = [slot for slot, flight in self._flights.items() if now > flight.deadline]
        told = f"no answer within {self._timeout_s:g} s; the worker was killed"
        return [self._lost(slot, self._take(slot), "hang", told) for slot in late]

    def _ended(self, slot: int) -> TrialOutcome:
        flight = self._take(slot)
        try:
            record: TrialRecord = self._lease.result(flight.reference)
        except WorkerLostError as error:
            return self._lost(slot, flight, error.signal, error.detail)
        return TrialOutcome(slot, flight, _relative_to_run(record, flight.directory.relative_to(self._directory)))

    def _take(self, slot: int) -> InFlightTrial:
        flight = self._flights.pop(slot)
        del self._slots[flight.reference]
        return flight

    def _lost(self, slot: int, flight: InFlightTrial, signal: str, detail: str) -> TrialOutcome:
        log = flight.directory / LOG_NAME
        if disk_space.is_out(flight.directory):
            signal, detail = (
                "disk-full",
                f"no space left on the disk of {flight.directory}; the worker ended ({signal})",
            )
        failure = failures.lost(signal, detail, _tail(log))
        where = str(flight.directory.relative_to(self._directory))
        record = TrialRecord(
            case=flight.request.case,
            device=self._lease.device(slot).id,
            repeat=flight.repeat,
            attempt=flight.attempt,
            seed=flight.request.seed,
            arm=flight.request.arm,
            status=TrialStatus.FAILED if failure.fault is Fault.KERNEL else TrialStatus.ERRORED,
            clock=self._clock,
            log=where,
            failure=failure,
        )
        return TrialOutcome(slot, flight, record)


def _tail(log: Path) -> str:
    """The end of what the lost trial printed; "" where the log is not on this machine or was never made."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _relative_to_run(record: TrialRecord, directory: Path) -> TrialRecord:
    """A trial names its log relative to its own directory; the run's readers start from the run's."""
    failure = record.failure
    if failure is not None and failure.log:
        failure = failure.model_copy(update={"log": str(directory / failure.log)})
    log = str(directory / record.log) if record.log else ""
    return record.model_copy(update={"log": log, "failure": failure})
