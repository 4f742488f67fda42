"""Builds every case of a plan once, cases spread over the leased devices."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

from farm.errors import InfrastructureError
from farm.execution.deadlines import RunDeadlines
from farm.execution.in_flight import POLL_S
from farm.execution.observer import Observer
from farm.execution.plan import Plan
from farm.leasing.lease import Lease
from farm.model.attempts import MAX_ATTEMPTS
from jobs.faults import failures
from jobs.records import BuildRecord, Failure, Fault, TrialRequest
from kernel.clock import Clock


@dataclass(frozen=True, slots=True)
class Building:
    """The builds of one run."""

    lease: Lease
    clock: Clock
    limits: RunDeadlines
    observer: Observer

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
            waiting[self.lease.actor(slot).build.remote(request)] = (slot, case)
        records = {}
        limit_s = self.limits.timeouts.trial_s * len(requests)
        deadline = time.monotonic() + limit_s
        while waiting and time.monotonic() < deadline:
            self.limits.check([f"build of {case} on {self.lease.device(slot).id}" for slot, case in waiting.values()])
            done, _ = ray.wait(list(waiting), timeout=POLL_S)
            self._report_stages({slot for slot, _ in waiting.values()})
            for reference in done:
                slot, case = waiting.pop(reference)
                records[case] = self._ended(slot, requests[case].case, reference)
        for slot, case in waiting.values():
            records[case] = self._lost(slot, requests[case].case, "hang", f"no answer within {limit_s:g} s")
        return records

    def _report_stages(self, slots: set[int]) -> None:
        for slot, stage in self.lease.stages().items():
            if slot in slots:
                self.observer.working(self.lease.device(slot), slot, stage)

    def _ended(self, slot: int, case: str, reference: Any) -> BuildRecord:
        try:
            record: BuildRecord = ray.get(reference)
        except RayError as error:
            return self._lost(slot, case, type(error).__name__, str(error))
        if record.failure is not None:
            with contextlib.suppress(InfrastructureError):  # the slot is out; the build's own failure is what counts
                self.lease.renew(slot)
        return record

    def _lost(self, slot: int, case: str, signal: str, detail: str) -> BuildRecord:
        where = self.lease.device(slot).id
        failure = failures.lost(signal, detail, "")
        message = f"on {where}: {failure.message}"
        try:
            self.lease.replace(slot)
        except InfrastructureError as error:
            message += f"; {error}"
        return BuildRecord(
            address="",
            fingerprint="",
            case=case,
            tuning={},
            cached=False,
            build_s=0.0,
            clock=self.clock,
            failure=Failure(fault=failure.fault, kind=failure.kind, message=message),
        )


def _is_lost(build: BuildRecord) -> bool:
    return build.failure is not None and build.failure.fault is not Fault.KERNEL
