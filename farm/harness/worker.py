"""The worker of a harness's run: holds a device, and runs one file after the other on it."""

from __future__ import annotations

from farm.leasing.device_jobs import DeviceJobs
from farm.leasing.worker import DeviceWorker
from jobs.records import TrialRequest
from kernel.harness.kernel import HarnessKernel
from kernel.platforms.command import Command
from kernel.platforms.protocol import Platform
from kernel.spec import Kernel


class HarnessJobs(DeviceJobs):
    """Jobs whose platform is `Command`, and whose kernels are the files of the platform's repository."""

    def _of(self, request: TrialRequest) -> tuple[Kernel | None, Platform]:
        """The file `request.case`; it takes further devices where the request names them beside its own."""
        kernel, platform = super()._of(request)
        assert isinstance(platform, Command)
        platform.repository.on_step = self._note
        return kernel or HarnessKernel(platform.profile, platform.root, (request.case,)), platform


class HarnessWorker(HarnessJobs, DeviceWorker):
    """These jobs in a process that Ray has leased a device to."""
