"""What runs in the process that holds a device of Ray's: jobs, called one after the other, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import ray

from farm.leasing.device_jobs import DeviceJobs, Ready
from farm.leasing.device_lease import PlatformFactory
from farm.process import installation
from farm.process.device_lock import DeviceLock
from jobs.records import ProbeRecord
from jobs.sandbox.spec import Confinement

# A worker that was killed a moment ago lets go at once; a short task of another queue may have come in between.
_LOCK_WAIT_S = 30.0


class DeviceWorker(DeviceJobs):
    """A Ray actor with the device that Ray has leased to it."""

    def __init__(
        self,
        slot: int,
        platform: PlatformFactory,
        cache: str,
        board: Any,
        confinement: Confinement | None = None,
    ) -> None:
        """The stages of `slot` are noted on `board`."""
        index = int(ray.get_runtime_context().get_accelerator_ids()["NPU"][0])

        def note(stage: str) -> None:
            board.note.remote(slot, stage)

        super().__init__(platform(), Path(cache), index, note, confinement)
        self._lock = DeviceLock(index)
        self._locked: Ready | None = None

    def ready(self) -> Ready:
        """Take the device's lock, then examine the device; asked again, the same answer."""
        if self._locked is None and (who := self._lock.take(_LOCK_WAIT_S, self._note)):
            self._locked = self._unexamined(who, locked=who)
        return self._locked or super().ready()

    def _unexamined(self, why: str, locked: str = "") -> Ready:
        canary = ProbeRecord(device=self._index, healthy=not locked, detail=f"not run: {why}", probe_s=0.0)
        code = installation.current()
        return Ready("", "", os.getpid(), canary, code, locked=locked, holds_lock=self._lock.held)


class DeviceKeeper(DeviceWorker):
    """Holds a device and its lock, and leaves the device itself alone: somebody's own program works on it."""

    def ready(self) -> Ready:
        """Take the device's lock."""
        who = self._lock.take(_LOCK_WAIT_S)
        return self._unexamined(who or "leased for a program", locked=who)
