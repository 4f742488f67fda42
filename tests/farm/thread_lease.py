"""A lease whose devices are threads of this process: trials are real, and confined where a commit's. Without Ray."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from typing import Any

import pytest

from farm import paths
from farm.errors import InfrastructureError
from farm.execution import preflight
from farm.execution.observer import Observer
from farm.execution.resolved_run import ResolvedRun
from farm.execution.session import Session, SessionOptions
from farm.harness.worker import HarnessJobs, HarnessWorker
from farm.leasing.device_jobs import DeviceJobs
from farm.leasing.device_lease import DeviceLease, Replaced, Waiting
from farm.leasing.device_queue import QueueEntry
from farm.model.device_health import EventKind, HealthEvent
from farm.model.run import DeviceRecord
from farm.store.run_store import Store
from farm.store.run_writer import RunWriter
from farm.sweep.devices import SweepDevices
from farm.timestamps import now
from jobs.records import TrialRequest


def here(index: int) -> str:
    """The id of a device where nobody calls it otherwise."""
    return f"here/{index}"


class ThreadLease:
    """Follows `DeviceLease`; a process that is renewed is a new object of its jobs.

    A program that is not confined must not end its process, which is the test's.
    """

    queue_s = 0.0
    yields = False

    def __init__(self, resolved: ResolvedRun, devices: Collection[int], named: Callable[[int], str] = here) -> None:
        """`devices` are those that the platform gets, each a card of its own; `named` gives the id of one."""
        self.since = time.monotonic()
        self._resolved = resolved
        self._named = named
        self._pool = ThreadPoolExecutor(len(devices))
        self._jobs: dict[int, DeviceJobs] = {}
        self._devices: dict[int, DeviceRecord] = {}
        for slot, device in enumerate(devices):
            self._begin(slot, device)

    @property
    def slots(self) -> list[int]:
        return sorted(self._jobs)

    @property
    def held(self) -> list[DeviceRecord]:
        return list(self._devices.values())

    def device(self, slot: int) -> DeviceRecord:
        return self._devices[slot]

    def start_build(self, slot: int, request: TrialRequest) -> Future[Any]:
        return self._pool.submit(self._jobs[slot].build, request)

    def start_trial(
        self, slot: int, request: TrialRequest, device_id: str, repeat: int, attempt: int, directory: str
    ) -> Future[Any]:
        return self._pool.submit(self._jobs[slot].trial, request, device_id, repeat, attempt, directory)

    def ended(self, calls: Sequence[Future[Any]], timeout_s: float) -> list[Future[Any]]:
        return list(wait(calls, timeout_s, FIRST_COMPLETED).done)

    def result(self, call: Future[Any]) -> Any:
        return call.result()

    def stages(self) -> Mapping[int, str]:
        return {}

    def require_head(self) -> None:
        """There is no head node."""

    def wanted_by_others(self) -> list[QueueEntry]:
        return []

    def yield_devices(self, on_wait: Waiting = lambda ahead, waited_s: None) -> None:
        raise AssertionError("it never yields")

    def replace(self, slot: int) -> Replaced:
        """No other device is free."""
        self.renew(slot)
        return Replaced(moved=False, unfit="")

    def renew(self, slot: int) -> None:
        device = self._devices[slot].index
        del self._jobs[slot]
        self._begin(slot, device)

    def release(self) -> None:
        self._pool.shutdown()

    def _begin(self, slot: int, device: int) -> None:
        kind = HarnessJobs if self._resolved.worker is HarnessWorker else DeviceJobs
        platform = self._resolved.factory()
        jobs = kind(platform, paths.cache(), device, lambda stage: None, self._resolved.confinement)
        told = jobs.ready()
        name = self._named(device)
        node = name.partition("/")[0]
        if not told.canary.healthy:
            raise InfrastructureError(f"device {name} failed its canary: {told.canary.detail}")
        self._devices[slot] = DeviceRecord(
            id=name,
            node=node,
            node_id=node,
            index=device,
            soc=told.soc,
            platform=platform.name,
            pid=os.getpid(),
            card=told.card,
            canary=told.canary.detail,
            isolation=told.isolation,
        )
        self._jobs[slot] = jobs


@contextlib.contextmanager
def leased(
    resolved: ResolvedRun, options: SessionOptions, observer: Observer | None = None, *, witnesses: bool = True
) -> Iterator[Session]:
    """Follows `farm.execution.session.leased`, for suites."""
    preflight.require_writable(options.out)
    with Store.open(paths.store_url()) as opened, closing(RunWriter(opened)) as store:
        lease = ThreadLease(resolved, range(resolved.request.devices))
        try:
            yield Session(resolved, lease, store)
        finally:
            lease.release()


class ThreadDevices(SweepDevices):
    """Six devices of three nodes for a sweep: "n0/0" to "n2/1", which a platform knows as 0 to 5."""

    NAMES = tuple(f"n{node}/{index}" for node in range(3) for index in range(2))

    def present(self) -> list[str]:
        return sorted(self.NAMES, key=lambda name: name.partition("/")[::-1])

    @contextlib.contextmanager
    def take(self, wanted: Sequence[str]) -> Iterator[DeviceLease | None]:
        barred = self.out_of_service()
        devices = [self.NAMES.index(name) for name in wanted if name not in barred]
        lease = ThreadLease(self._resolved, devices, self.NAMES.__getitem__)
        try:
            yield lease
        finally:
            lease.release()

    def probe(self, devices: Sequence[str]) -> None:
        for device in devices:
            self._book.observe([HealthEvent(device, self._platform, now(), EventKind.CANARY_CLEAN, "a thread is fit")])


def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have runs and bisects of suites, and sweeps, use threads in place of a cluster's workers."""
    for workflow in ("bisect.workflow", "validation.suite"):
        monkeypatch.setattr(f"farm.{workflow}.leased", leased)
    monkeypatch.setattr("farm.sweep.workflow.SweepDevices", ThreadDevices)
    monkeypatch.setattr("farm.cluster.connection.connected", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr("farm.cluster.connection.shared", lambda address: False)
