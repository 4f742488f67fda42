"""The worker of a harness's run: holds a device, and runs one file after the other on it."""

from __future__ import annotations

from pathlib import Path

import jobs.trial
from farm.worker import DeviceWorker
from jobs.records import Request, TrialRecord
from kernel.harness.kernel import HarnessKernel
from kernel.platforms.command import Command


class HarnessWorker(DeviceWorker):
    """A `DeviceWorker` whose platform is `Command`, and whose kernels are the files of the platform's repository."""

    def trial(self, request: Request, device_id: str, repeat: int, attempt: int, directory: str) -> TrialRecord:
        """Run the file `request.case` on the leased device, and on those that the request names beside it."""
        platform = self._platform
        assert isinstance(platform, Command)
        return jobs.trial.run_trial(
            request,
            device=self._index,
            device_id=device_id,
            repeat=repeat,
            attempt=attempt,
            platform=platform,
            directory=Path(directory),
            cache_dir=self._cache,
            on_stage=self._note,
            kernel=HarnessKernel(platform.profile, platform.root, (request.case,)),
        )
