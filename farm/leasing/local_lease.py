"""The one device of a local run behind the interface of a lease. Nothing is locked: it is of this process alone.

Loads no Ray.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from farm.errors import InfrastructureError
from farm.leasing import local_worker
from farm.leasing.device_lease import Replaced, Waiting, WorkerLostError
from farm.leasing.device_queue import QueueEntry
from farm.leasing.local_device import LocalDevice, LocalWorker
from farm.model.run import DeviceRecord
from jobs.records import BuildRecord, TrialRecord, TrialRequest

_SLOT = 0
_LOOK_S = 0.01


@dataclass(eq=False, slots=True)
class _Call:
    """One call to a worker, and what it has answered."""

    worker: LocalWorker
    kind: type[BuildRecord] | type[TrialRecord]
    answer: Any = None
    lost: WorkerLostError | None = None

    def look(self, timeout_s: float) -> bool:
        """Whether it has ended, after waiting up to `timeout_s`."""
        if self.answer is None and self.lost is None:
            try:
                self.answer = self.worker.answer(local_worker.RECORD, timeout_s)
            except WorkerLostError as error:
                self.lost = error
        return self.answer is not None or self.lost is not None


class LocalLease:
    """Follows `DeviceLease` with one slot. Use as a context manager."""

    queue_s = 0.0
    yields = False

    def __init__(self, device: LocalDevice) -> None:
        self._device = device
        self.since = time.monotonic()
        self._worker: LocalWorker | None = None
        self._held: list[DeviceRecord] = []

    def __enter__(self) -> LocalLease:
        """Start the worker, or take the one that is ready. Raises `InfrastructureError`."""
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        """End the worker, and begin to start the next."""
        self.release()

    @property
    def slots(self) -> list[int]:
        """The one slot, as long as it has a worker."""
        return [] if self._worker is None else [_SLOT]

    @property
    def held(self) -> list[DeviceRecord]:
        """The device."""
        return list(self._held)

    def device(self, slot: int) -> DeviceRecord:
        """The device."""
        return self._held[-1]

    def start_build(self, slot: int, request: TrialRequest) -> Any:
        """See `DeviceLease`."""
        return self._asked(BuildRecord, "build", request)

    def start_trial(
        self, slot: int, request: TrialRequest, device_id: str, repeat: int, attempt: int, directory: str
    ) -> Any:
        """See `DeviceLease`."""
        return self._asked(TrialRecord, "trial", request, device_id, repeat, attempt, directory)

    def ended(self, calls: Sequence[Any], timeout_s: float) -> list[Any]:
        """See `DeviceLease`."""
        deadline = time.monotonic() + timeout_s
        while not (done := [call for call in calls if call.look(_LOOK_S)]) and time.monotonic() < deadline:
            pass
        return done

    def result(self, call: Any) -> Any:
        """See `DeviceLease`."""
        if call.lost is not None:
            raise call.lost
        try:
            return call.kind.model_validate(call.answer)
        except ValidationError as error:
            raise WorkerLostError("WorkerCrashedError", f"the worker's record cannot be read: {error}") from error

    def stages(self) -> Mapping[int, str]:
        """See `DeviceLease`."""
        return {} if self._worker is None else {_SLOT: self._worker.stage}

    def require_head(self) -> None:
        """There is no head node."""

    def wanted_by_others(self) -> list[QueueEntry]:
        """Nobody else can want it."""
        return []

    def yield_devices(self, on_wait: Waiting = lambda ahead, waited_s: None) -> None:
        """Never asked for: it does not yield."""
        raise AssertionError("a local device yields to nobody")

    def replace(self, slot: int) -> Replaced:
        """A fresh process: there is no other device. Raises `InfrastructureError`."""
        self.renew(slot)
        return Replaced(moved=False, unfit="")

    def renew(self, slot: int) -> None:
        """A fresh process, whose canary is right. Raises `InfrastructureError`."""
        self._end()
        self._begin()

    def release(self) -> None:
        """End the worker, and begin to start the next, for a run that follows."""
        self._end()
        with contextlib.suppress(InfrastructureError):  # the run that follows meets it, and says so
            self._device.prepare()

    def _asked(self, kind: type[BuildRecord] | type[TrialRecord], method: str, *arguments: Any) -> _Call:
        assert self._worker is not None, "a slot that is listed has a worker"
        self._worker.ask(method, *arguments)
        return _Call(self._worker, kind)

    def _begin(self) -> None:
        worker, device, canary = self._device.worker()
        if not canary.healthy:
            worker.end()
            raise InfrastructureError(f"device {device.id} failed its canary: {canary.detail}")
        self._worker = worker
        if not self._held:
            self._held.append(device)

    def _end(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.end()
