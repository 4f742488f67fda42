"""What runs in the process that holds a device of Ray's: jobs, called one after the other, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ray

from farm.leasing.device_jobs import DeviceJobs
from farm.leasing.device_lease import PlatformFactory
from jobs.sandbox.spec import Confinement


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
