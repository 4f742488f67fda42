"""Writes `progress.json` in the directory of a run; `farm.model.progress` reads it in other processes."""

from __future__ import annotations

import time
from pathlib import Path

from farm.atomic_file import ReportWriteError, write_whole
from farm.execution.observer import Observer
from farm.leasing.device_queue import QueueEntry
from farm.model.progress import NAME, Progress
from farm.model.run import DeviceRecord, GateRecord
from jobs.records import BuildRecord, TrialRecord

_EVERY_S = 1.0


class ProgressFile(Observer):
    """Hands everything on to another observer, and keeps the file."""

    def __init__(self, directory: Path, inner: Observer) -> None:
        self._path = directory / NAME
        self._inner = inner
        self._extra = 0
        self._stages: dict[str, str] = {}
        self._written_s = float("-inf")

    def preparing(self, what: str) -> None:
        """Hand on."""
        self._inner.preparing(what)

    def began(self, run_id: str, devices: list[DeviceRecord], trials: int) -> None:
        """Note the devices."""
        self._stages = dict.fromkeys((device.id for device in devices), "build")
        self._write()
        self._inner.began(run_id, devices, trials)

    def working(self, device: DeviceRecord, slot: int, stage: str) -> None:
        """Note what a device does."""
        self._stages[device.id] = stage
        if time.monotonic() - self._written_s >= _EVERY_S:
            self._write()
        self._inner.working(device, slot, stage)

    def extended(self, trials: int, why: str) -> None:
        """Note that there is more to do."""
        self._extra += trials
        self._write()
        self._inner.extended(trials, why)

    def waiting(self, ahead: list[QueueEntry], waited_s: float) -> None:
        """Hand on."""
        self._inner.waiting(ahead, waited_s)

    def locked(self, device: str, who: str) -> None:
        """Hand on."""
        self._inner.locked(device, who)

    def built(self, build: BuildRecord) -> None:
        """Hand on."""
        self._inner.built(build)

    def measured(self, trial: TrialRecord, kept: bool) -> None:
        """Hand on."""
        self._inner.measured(trial, kept)

    def judged(self, gates: list[GateRecord]) -> None:
        """Hand on."""
        self._inner.judged(gates)

    def _write(self) -> None:
        self._written_s = time.monotonic()
        told = Progress(extra=self._extra, stages=self._stages)
        try:
            write_whole(self._path, told.model_dump_json())
        except ReportWriteError:
            return  # a full disk ends the run by what it keeps, not by what passes
