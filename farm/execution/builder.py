"""Builds every case of a plan once, cases spread over the leased devices."""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from farm import paths
from farm.errors import InfrastructureError
from farm.execution.deadlines import RunDeadlines
from farm.execution.failure_policy import FailurePolicy
from farm.execution.in_flight import POLL_S
from farm.execution.observer import Observer
from farm.execution.plan import Plan
from farm.leasing.device_lease import DeviceLease, WorkerLostError, card_of
from farm.model.attempts import MAX_ATTEMPTS
from jobs.faults import failures
from jobs.records import BuildRecord, Failure, Fault, TrialRecord, TrialRequest, TrialStatus
from kernel.clock import Clock
from kernel.platforms.protocol import LOG_NAME


@dataclass(frozen=True, slots=True)
class Building:
    """The builds of one run."""

    lease: DeviceLease
    clock: Clock
    limits: RunDeadlines
    observer: Observer
    directory: Path  # of the run, where the logs of failed builds are brought
    blame: FailurePolicy = field(default_factory=FailurePolicy)  # what builds alone prove

    def build(self, plan: Plan) -> list[BuildRecord]:
        """One record a case; a build lost with its worker is tried again elsewhere.

        Raises `LimitError`, and `InfrastructureError` where no device is left.
        """
        records: dict[str, BuildRecord] = {}
        for _ in range(MAX_ATTEMPTS):
            wanted = [case for case in plan.requests if case not in records or _is_lost(records[case])]
            if not wanted:
                break
            records.update(self._round({case: plan.requests[case] for case in wanted}))
        for record in records.values():
            self.observer.built(record)
        return [records[case] for case in plan.requests]

    def _round(self, requests: dict[str, TrialRequest]) -> dict[str, BuildRecord]:
        slots = self.lease.slots
        if not slots:
            raise InfrastructureError("no leased device is left to build on")
        waiting: dict[Any, tuple[int, str]] = {}
        for number, (case, request) in enumerate(requests.items()):
            slot = slots[number % len(slots)]
            waiting[self.lease.start_build(slot, request)] = (slot, case)
        records = {}
        limit_s = self.limits.timeouts.trial_s * len(requests)
        deadline = time.monotonic() + limit_s
        while waiting and time.monotonic() < deadline:
            self.limits.check([f"build of {case} on {self.lease.device(slot).id}" for slot, case in waiting.values()])
            done = self.lease.ended(list(waiting), POLL_S)
            self._report_stages({slot for slot, _ in waiting.values()})
            for reference in done:
                slot, named = waiting.pop(reference)
                records[named] = self._ended(slot, named, requests[named].case, reference)
        for slot, named in waiting.values():
            records[named] = self._lost(slot, named, requests[named].case, "hang", f"no answer within {limit_s:g} s")
        return records

    def _report_stages(self, slots: set[int]) -> None:
        for slot, stage in self.lease.stages().items():
            if slot in slots:
                self.observer.working(self.lease.device(slot), slot, stage)

    def _ended(self, slot: int, named: str, case: str, reference: Any) -> BuildRecord:
        try:
            record: BuildRecord = self.lease.result(reference)
        except WorkerLostError as error:
            return self._lost(slot, named, case, error.signal, error.detail)
        if record.failure is None:
            return record
        record = self._with_log(record, named)
        if not _is_lost(record):
            with contextlib.suppress(InfrastructureError):  # the slot is out; the build's own failure is what counts
                self.lease.renew(slot)
            return record
        return self._moved(slot, named, record)

    def _lost(self, slot: int, named: str, case: str, signal: str, detail: str) -> BuildRecord:
        failure = failures.lost(signal, detail, "")
        message = f"on {self.lease.device(slot).id}: {failure.message}"
        record = BuildRecord(
            address="",
            fingerprint="",
            case=case,
            tuning={},
            cached=False,
            build_s=0.0,
            clock=self.clock,
            failure=Failure(fault=failure.fault, kind=failure.kind, message=message),
        )
        return self._moved(slot, named, record)

    def _moved(self, slot: int, named: str, record: BuildRecord) -> BuildRecord:
        """The record of a build that proves nothing by itself, once its slot is on another device.

        The same on two healthy cards is the kernel's: it kills or hangs the compiler wherever it is built.
        """
        device, failure = self.lease.device(slot), record.failure
        assert failure is not None
        unfit = ""
        try:
            unfit = self.lease.replace(slot).unfit
        except InfrastructureError as error:
            failure = failure.model_copy(update={"message": f"{failure.message}; {error}"})
        ended = TrialRecord(
            case=named,
            device=device.id,
            repeat=-1,
            attempt=0,
            status=TrialStatus.ERRORED,
            clock=self.clock,
            failure=failure,
        )
        known = len(self.blame.kernel)
        self.blame.take(ended, card_of(device), trusted=unfit != card_of(device))
        for proven in self.blame.kernel[known:]:
            failure = failure.model_copy(
                update={"fault": proven.fault, "message": f"the build: {proven.message}; the last {failure.message}"}
            )
        return record.model_copy(update={"failure": failure})

    def _with_log(self, record: BuildRecord, named: str) -> BuildRecord:
        """The failed build with its log in the run: a cache may be deleted, and nobody looks there."""
        assert record.failure is not None
        log = ""
        if record.failure.log:
            source, target = paths.cache() / record.failure.log, Path("logs") / f"build-{named}" / LOG_NAME
            with contextlib.suppress(OSError):  # built on another machine, whose cache is its own
                (self.directory / target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, self.directory / target)
                log = str(target)
        return record.model_copy(update={"failure": record.failure.model_copy(update={"log": log})})


def _is_lost(build: BuildRecord) -> bool:
    return build.failure is not None and build.failure.fault is not Fault.KERNEL
