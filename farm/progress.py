"""What a run tells whoever watches it. The command line draws it; the API and the tests may ignore it."""

from __future__ import annotations

from typing import Protocol

from farm.record import DeviceRecord, GateRecord
from jobs.records import BuildRecord, TrialRecord


class Observer(Protocol):
    """Called from the run's own thread; must return quickly and not raise."""

    def began(self, run_id: str, devices: list[DeviceRecord], trials: int) -> None:
        """The devices are leased and `trials` trials are planned."""

    def built(self, build: BuildRecord) -> None:
        """One case is built or found built."""

    def working(self, device: DeviceRecord, slot: int, stage: str) -> None:
        """The device of `slot` is in `stage`; called often."""

    def measured(self, trial: TrialRecord, kept: bool) -> None:
        """One trial ended; `kept` is False for a warm-up."""

    def extended(self, trials: int, why: str) -> None:
        """`trials` more trials were planned."""

    def judged(self, gates: list[GateRecord]) -> None:
        """The gates have spoken."""


class Silent:
    """An observer that says nothing."""

    def began(self, run_id: str, devices: list[DeviceRecord], trials: int) -> None:
        """Nothing."""

    def built(self, build: BuildRecord) -> None:
        """Nothing."""

    def working(self, device: DeviceRecord, slot: int, stage: str) -> None:
        """Nothing."""

    def measured(self, trial: TrialRecord, kept: bool) -> None:
        """Nothing."""

    def extended(self, trials: int, why: str) -> None:
        """Nothing."""

    def judged(self, gates: list[GateRecord]) -> None:
        """Nothing."""
