"""Devices of the test's own process behind the interface of a lease: whole runs without Ray.

Every job is called as soon as somebody waits for it. A job that would end its process is lost as a worker's is, and one
that would hang stays under way. So what a run makes of its trials is tried without a process for each device.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from farm import paths
from farm.execution import preflight
from farm.execution.observer import Observer
from farm.execution.resolved_run import ResolvedRun
from farm.execution.session import Session, SessionOptions
from farm.leasing.device_jobs import DeviceJobs
from farm.leasing.device_lease import PlatformFactory, Replaced, Waiting, WorkerLostError
from farm.leasing.device_queue import QueueEntry
from farm.model.run import DeviceRecord
from farm.store.run_store import Store
from farm.store.run_writer import RunWriter
from jobs.records import TrialRequest
from jobs.sandbox.commit_kernel import ForeignKernel
from jobs.sandbox.spec import Confinement, ProgramConfinement
from kernel.platforms.protocol import Platform
from kernel.registry import find_kernel
from kernel.spec import Kernel
from tests.fakes import platforms

NODE = "direct"


class _EndedError(BaseException):
    """The process of a worker would have ended; nothing that a worker catches."""


class _HangsError(BaseException):
    """The job would never have ended."""


@dataclass(eq=False, slots=True)
class _Call:
    work: Callable[[], Any]
    answer: Any = None
    lost: WorkerLostError | None = None
    hangs: bool = False

    @property
    def ended(self) -> bool:
        return self.answer is not None or self.lost is not None

    def make(self) -> None:
        if self.ended or self.hangs:
            return
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "_exit", _end)
            patch.setattr(platforms, "hang", _hang)
            try:
                self.answer = self.work()
            except _EndedError:
                self.lost = WorkerLostError("ActorDiedError", "The actor died unexpectedly before finishing this task.")
            except _HangsError:
                self.hangs = True


def _end(code: int) -> None:
    raise _EndedError(code)


def _hang() -> None:
    raise _HangsError


@dataclass(frozen=True, slots=True)
class Unconfined:
    """Follows `Confinement`: programs of commits without their processes, of which those of `broken` do not compile.

    What runs is what the platform answers, as for the installed program.
    """

    programs: ProgramConfinement
    broken: frozenset[str] = frozenset()  # addresses of trees

    def arrange(self, request: TrialRequest, platform: Platform, cache: Path) -> tuple[Kernel, Platform]:
        tree = next(each for each in self.programs.trees if each.address == request.tree)
        top = tree.unpack(cache)
        kernel = ForeignKernel(find_kernel(self.programs.kernel), tuple(top / path for path, _ in tree.files))
        return kernel, platforms.DoesNotCompile() if request.tree in self.broken else platform


class DirectLease:
    """Follows `DeviceLease` with `devices` of `there` devices; slot n begins with device n."""

    yields = False

    def __init__(
        self, factory: PlatformFactory, name: str, devices: int, there: int, confinement: Confinement | None = None
    ) -> None:
        self._confinement = confinement
        self._factory = factory
        self._name = name
        self._free = list(range(devices, there))
        self._devices: dict[int, DeviceRecord] = {}
        self._jobs: dict[int, DeviceJobs] = {}
        self.queue_s = 0.0
        self.since = time.monotonic()
        self.held: list[DeviceRecord] = []
        for slot in range(devices):
            self._begin(slot, slot)

    @property
    def slots(self) -> list[int]:
        return sorted(self._jobs)

    def device(self, slot: int) -> DeviceRecord:
        return self._devices[slot]

    def start_build(self, slot: int, request: TrialRequest) -> Any:
        jobs = self._jobs[slot]
        return _Call(lambda: jobs.build(request))

    def start_trial(
        self, slot: int, request: TrialRequest, device_id: str, repeat: int, attempt: int, directory: str
    ) -> Any:
        jobs = self._jobs[slot]
        return _Call(lambda: jobs.trial(request, device_id, repeat, attempt, directory))

    def ended(self, calls: Sequence[Any], timeout_s: float) -> list[Any]:
        for call in calls:
            call.make()
        done = [call for call in calls if call.ended]
        if not done:
            threading.Event().wait(timeout_s)
        return done

    def result(self, call: Any) -> Any:
        if call.lost is not None:
            raise call.lost
        return call.answer

    def stages(self) -> Mapping[int, str]:
        return {}

    def require_head(self) -> None:
        """There is no head node."""

    def wanted_by_others(self) -> list[QueueEntry]:
        return []

    def yield_devices(self, on_wait: Waiting = lambda ahead, waited_s: None) -> None:
        raise AssertionError("nobody else wants these devices")

    def replace(self, slot: int) -> Replaced:
        left = self._devices[slot].index
        moved = bool(self._free)
        if moved:
            self._free.append(left)
        self._begin(slot, self._free.pop(0) if moved else left)
        return Replaced(moved, unfit="")

    def renew(self, slot: int) -> None:
        self._begin(slot, self._devices[slot].index)

    def release(self) -> None:
        self._jobs.clear()

    def _begin(self, slot: int, index: int) -> None:
        """A fresh worker on device `index`."""
        self._jobs[slot] = DeviceJobs(self._factory(), paths.cache(), index, lambda stage: None, self._confinement)
        told = self._jobs[slot].ready()
        record = DeviceRecord(
            id=f"{NODE}/{index}",
            node=socket.gethostname(),
            node_id=NODE,
            index=index,
            soc=told.soc,
            platform=self._name,
            pid=told.pid,
            card=told.card,
            canary=told.canary.detail,
            isolation=told.isolation,
        )
        self._devices[slot] = record
        if record.id not in {each.id for each in self.held}:
            self.held.append(record)


Leased = Callable[..., contextlib.AbstractContextManager[Session]]


def leased(there: int, kind: type[DirectLease] = DirectLease, *, base_is_broken: bool = False) -> Leased:
    """What stands in for `farm.execution.session.leased`, where a run is to have its devices in this process.

    There are `there` devices. With `base_is_broken` the program of the merge base does not compile.
    """

    @contextlib.contextmanager
    def lease(
        resolved: ResolvedRun, options: SessionOptions, observer: Observer | None = None, *, witnesses: bool = True
    ) -> Iterator[Session]:
        request = resolved.request
        options.timeouts.checked(simulated=resolved.simulated)
        preflight.require_reference(resolved.kernel, request, paths.cache(), options.timeouts.trial_s)
        confined = resolved.confinement
        if isinstance(confined, ProgramConfinement):
            broken = {tree.address for tree in confined.trees[1:]} if base_is_broken else ()
            confined = Unconfined(confined, frozenset(broken))
        with Store.open(paths.store_url()) as opened, closing(RunWriter(opened)) as store:
            held = kind(resolved.factory, resolved.platform.name, request.devices, there, confined)
            try:
                yield Session(resolved, held, store)
            finally:
                held.release()

    return lease
