"""One local Ray for all tests that need one, and a farm home of their own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

DEVICES = 4


@pytest.fixture(scope="session")
def farm_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by the tests, so that goldens are computed once."""
    return tmp_path_factory.mktemp("farm-home")


@pytest.fixture
def at_home(farm_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`$FARM_HOME` points into the tests' own directory."""
    monkeypatch.setenv("FARM_HOME", str(farm_home))
    monkeypatch.delenv("FARM_STORE", raising=False)
    return farm_home


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """A real Ray on this machine with `DEVICES` simulated NPUs; `farm.cluster.connected` uses it as it is."""
    import ray

    logging.getLogger("ray._private.accelerators.npu").setLevel(logging.CRITICAL)
    ray.init(
        num_cpus=2,
        resources={"NPU": DEVICES},
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    yield
    ray.shutdown()
