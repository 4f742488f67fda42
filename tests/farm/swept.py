"""What the tests of sweeps ask for: the same small sweep, on whatever devices the test has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from farm import paths
from farm.leasing.device_lease import PlatformFactory
from farm.model.device_health import Health
from farm.model.sweep import SweepRecord, SweepRequest
from farm.store.run_store import Store
from farm.sweep.observer import SweepObserver
from farm.sweep.workflow import SweepOptions, sweep

SEEDS, REPEATS = [0, 1], 2


def health_of(device: str) -> Health:
    with Store.open(paths.store_url()) as store:
        return store.health("fake")[device]


def sweep_all(
    platform: PlatformFactory, out: Path, observer: SweepObserver | None = None, **changes: Any
) -> SweepRecord:
    asked = SweepRequest(
        kernel="qkv_proj_rope",
        cases=["tiny"],
        platform="fake",
        seeds=SEEDS,
        repeats=REPEATS,
        input_set="documented",
    )
    options = SweepOptions(out=out, platform=platform, budget_minutes=changes.pop("budget_minutes", 10.0))
    return sweep(asked.model_copy(update=changes), options, observer)
