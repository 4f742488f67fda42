"""A pytest plugin, `-p tests.devices.meeting`: no worker goes on from its first device before every worker has one.

So devices that differ were held at the same time. Without it a quick worker could be through with all its tests and
have given its device back before a slow one asks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from farm.testing.device_pool import TestDevice
from tests.waiting import until

_LIMIT_S = 400.0


@pytest.fixture(scope="session")
def _met() -> list[str]:
    """The devices of this worker's meeting; empty before it."""
    return []


@pytest.fixture(autouse=True)
def _meet(
    request: pytest.FixtureRequest,
    farm_device: TestDevice,
    tmp_path_factory: pytest.TempPathFactory,
    _met: list[str],
) -> None:
    """Before a worker's first test: sign in with the device, and wait for the others."""
    if _met:
        return
    config: Any = request.config
    place = tmp_path_factory.getbasetemp().parent / "meeting"  # the directory of all workers of one suite
    place.mkdir(exist_ok=True)
    (place / config.workerinput["workerid"]).write_text(farm_device.id)
    _met.append(farm_device.id)
    _wait_for(config.workerinput["workercount"], place)


def _wait_for(count: int, place: Path) -> None:
    until(lambda: len(list(place.iterdir())) >= count, _LIMIT_S, f"{count} workers, each with a device,")
