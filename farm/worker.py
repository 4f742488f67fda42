"""What runs in the process that holds a device: jobs, called one after the other, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
import torch

import jobs.build
import jobs.probe
import jobs.trial
from jobs.records import BuildRecord, ProbeRecord, Request, TrialRecord
from kernel.platforms.protocol import Platform

PlatformFactory = Callable[[], Platform]


class DeviceWorker:
    """One process, one leased device, one platform."""

    def __init__(self, slot: int, platform: PlatformFactory, cache: str, board: Any) -> None:
        # One thread each: devices share the host's cores, and a sum's order must not depend on how many there are.
        torch.set_num_threads(1)
        self._slot = slot
        self._platform = platform()
        self._cache = Path(cache)
        self._board = board

    def describe(self) -> dict[str, Any]:
        """Where this worker is and which device Ray gave it."""
        context = ray.get_runtime_context()
        index = int(context.get_accelerator_ids()["NPU"][0])
        return {
            "node_id": context.get_node_id(),
            "index": index,
            "soc": self._platform.soc(index),
            "card": self._platform.card(index),
            "platform": self._platform.name,
            "pid": os.getpid(),
        }

    def build(self, request: Request) -> BuildRecord:
        """Build, or find the build of an equal request."""
        self._note(f"build {request.case}")
        return jobs.build.build(request, self._platform, self._cache)

    def trial(self, request: Request, device_id: str, repeat: int, attempt: int, directory: str) -> TrialRecord:
        """Run one trial on the leased device."""
        index = int(ray.get_runtime_context().get_accelerator_ids()["NPU"][0])
        return jobs.trial.run_trial(
            request,
            device=index,
            device_id=device_id,
            repeat=repeat,
            attempt=attempt,
            platform=self._platform,
            directory=Path(directory),
            cache_dir=self._cache,
            on_stage=self._note,
        )

    def probe(self, directory: str) -> ProbeRecord:
        """Check that the leased device is fit for work."""
        self._note("probe")
        index = int(ray.get_runtime_context().get_accelerator_ids()["NPU"][0])
        return jobs.probe.probe(index, self._platform, Path(directory), self._cache)

    def _note(self, stage: str) -> None:
        self._board.note.remote(self._slot, stage)
