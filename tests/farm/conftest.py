"""One local Ray for all tests that need one, a farm home of their own, and a store on each kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.store.run_store import Store
from tests import clusters

DEVICES = 4


@pytest.fixture(scope="session")
def farm_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by the tests, so that goldens are computed once."""
    return tmp_path_factory.mktemp("farm-home")


@pytest.fixture
def at_home(farm_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`$FARM_HOME` points into the tests' own directory, the store is this test's: a quarantine outlives the run."""
    monkeypatch.setenv("FARM_HOME", str(farm_home))
    monkeypatch.setenv("FARM_STORE", f"sqlite:///{tmp_path / 'store.sqlite'}")
    return farm_home


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A store on `url`."""
    with Store.open(url) as opened:
        yield opened


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """A real local Ray with `DEVICES` simulated NPUs; `farm.cluster.connection.connected` uses it as it is."""
    with clusters.local(DEVICES):
        yield
