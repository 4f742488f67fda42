"""What a run reports to its observer. The command line draws it; the API and the tests may ignore it."""

from __future__ import annotations

from farm.leasing.device_queue import QueueEntry
from farm.model.run import DeviceRecord, GateRecord
from jobs.records import BuildRecord, TrialRecord


class Observer:
    """Sees nothing: override what is to be seen. Called from the run's own thread; must return quickly, not raise."""

    def preparing(self, what: str) -> None:
        """Nothing is leased yet; `what` is under way, in a few words."""

    def began(self, run_id: str, devices: list[DeviceRecord], trials: int) -> None:
        """The devices are leased and `trials` trials are planned."""

    def waiting(self, ahead: list[QueueEntry], waited_s: float) -> None:
        """The run waits for devices behind `ahead`, or, where nobody is ahead, for enough to come free."""

    def locked(self, device: str, who: str) -> None:
        """The device with the id `device` is passed over: a program outside of Ray has it; `who` says which."""

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
