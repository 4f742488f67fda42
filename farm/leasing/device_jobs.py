"""What a process that holds a device does, called one job after the other. Loads no Ray."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import jobs.build
import jobs.probe
import jobs.trial
from farm.model.run import DeviceRecord
from farm.process import installation
from farm.process.installation import Installation
from jobs.packed_tasks import packed
from jobs.records import BuildRecord, ProbeRecord, TrialRecord, TrialRequest
from jobs.sandbox import bubblewrap
from jobs.sandbox.spec import Confinement
from kernel.platforms.protocol import Identified, Platform
from kernel.spec import Kernel

if TYPE_CHECKING:
    from farm.leasing.allocation import DeviceAllocation  # loads Ray


@dataclass(frozen=True, slots=True)
class Ready:
    """What a worker reports about its device before it gets any work."""

    soc: str  # "" where the canary failed
    card: str  # physical card on its node
    pid: int
    canary: ProbeRecord
    code: Installation  # of the farm, as the worker's process has it
    isolation: str = ""  # what keeps foreign programs apart here; "" where there is none to run
    identity: str = ""  # what the device is called wherever it is plugged in; "" where nothing tells
    locked: str = ""  # who has locked the device outside of the farm, so that nothing ran on it; "" where nobody has
    holds_lock: bool = False  # of the device, which others respect; False where the farm takes no locks

    def device(self, platform: str, place: DeviceAllocation) -> DeviceRecord:
        """The device at `place`, as a run records it."""
        return DeviceRecord(
            id=place.id,
            node=place.node.name,
            node_id=place.node.id,
            index=place.index,
            soc=self.soc,
            platform=platform,
            pid=self.pid,
            card=self.card,
            canary=self.canary.detail,
            isolation=self.isolation,
        )


class DeviceJobs:
    """One process, one device, one platform."""

    def __init__(
        self,
        platform: Platform,
        cache: Path,
        index: int,
        note: Callable[[str], None],
        confinement: Confinement | None = None,
    ) -> None:
        """`index` is the device's, as the platform takes it; `note` is called with each stage.

        With `confinement`, requests may name programs that are not installed.
        """
        # One thread each: devices share the host's cores, and a sum's order must not depend on how many there are.
        torch.set_num_threads(1)
        self._platform = platform
        self._cache = cache
        self._index = index
        self._note = note
        self._confinement = confinement
        self._ready: Ready | None = None

    def ready(self) -> Ready:
        """Run the canary once and tell what is here; asked again, the same answer."""
        if self._ready is None:
            self._note("canary")
            with tempfile.TemporaryDirectory(prefix="farm-canary-") as directory:
                canary = jobs.probe.probe(self._index, self._platform, Path(directory), self._cache)
            soc = self._platform.soc(self._index) if canary.healthy else ""
            card = self._platform.card(self._index)
            isolation = str(bubblewrap.isolation()) if self._confinement else ""
            named = self._platform.identity(self._index) if isinstance(self._platform, Identified) else ""
            self._ready = Ready(soc, card, os.getpid(), canary, installation.current(), isolation, named)
        return self._ready

    def build(self, request: TrialRequest) -> BuildRecord:
        """Build, or find the build of an equal request."""
        self._note(f"build {request.case}")
        kernel, platform = self._of(request)
        return jobs.build.build(request, platform, self._cache, kernel=kernel)

    def trial(self, request: TrialRequest, device_id: str, repeat: int, attempt: int, directory: str) -> TrialRecord:
        """Run one trial on the leased device."""
        kernel, under = self._of(request)
        record = jobs.trial.run_trial(
            request,
            device=self._index,
            device_id=device_id,
            repeat=repeat,
            attempt=attempt,
            platform=under,
            directory=Path(directory),
            cache_dir=self._cache,
            on_stage=self._note,
            kernel=kernel,
        )
        return packed(record)  # before it is sent: nobody who only hands it on pays for objects of thousands of tasks

    def _of(self, request: TrialRequest) -> tuple[Kernel | None, Platform]:
        """The kernel, None for the installed one, and the platform it runs under."""
        if not request.tree:
            return None, self._platform
        assert self._confinement is not None, "a request for a tree goes to workers that were given it"
        return self._confinement.arrange(request, self._platform, self._cache)
