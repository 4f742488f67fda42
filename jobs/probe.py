"""Whether a device is fit for work: the platform's canary program, as a record."""

from __future__ import annotations

import time
from pathlib import Path

from jobs.records import ProbeRecord
from kernel.errors import KernelLayerError
from kernel.platforms.protocol import Platform


def probe(device: int, platform: Platform, directory: Path, cache_dir: Path) -> ProbeRecord:
    """Probe `device`; logs go below `directory`. A device or platform that cannot answer is unhealthy, not an error."""
    directory.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    try:
        platform.prepare(cache_dir)
        answer = platform.probe(device, directory)
        healthy, detail = answer.healthy, answer.detail
    except (KernelLayerError, OSError) as error:
        healthy, detail = False, " ".join(str(error).split())
    return ProbeRecord(device=device, healthy=healthy, detail=detail, probe_s=time.monotonic() - begin)
