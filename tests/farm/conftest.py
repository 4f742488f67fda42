"""One local Ray for all tests that need one, a farm home of their own, and a store on each kind of database."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.store.run_store import Store
from tests import clusters
from tests.fakes import installed
from tests.waiting import until

DEVICES = 4
PLATFORMS = {
    "fake": "tests.fakes.platforms:Honest",
    "second": "tests.fakes.platforms:TakesASecond",
    "hangs": "tests.fakes.platforms:HangsEverywhere",
}


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


@pytest.fixture(scope="session")
def fakes_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which `PLATFORMS` are installed."""
    site = tmp_path_factory.mktemp("site")
    installed.write(site, PLATFORMS)
    return site


@pytest.fixture
def fakes(fakes_site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`PLATFORMS` have names in this process and in those that it starts, and in the workers of `standing_ray`."""
    installed.use(fakes_site, monkeypatch)


@pytest.fixture(scope="session")
def standing_ray(fakes_site: Path) -> Iterator[str]:
    """The address of a real Ray with `DEVICES` simulated NPUs, for all files of this test process."""
    with clusters.standing(DEVICES, fakes_site) as address:
        yield address


@pytest.fixture(scope="module")
def joined_ray(standing_ray: str) -> Iterator[str]:
    """This process is connected to the standing Ray; `farm.cluster.connection.connected` uses it as it is.

    Its address is for commands that are processes of their own.
    """
    import ray

    from farm.cluster import connection

    ray.init(address=standing_ray, log_to_driver=False, logging_level=logging.ERROR)
    until(lambda: connection.free_count() == DEVICES, what="the return of what another file leased")
    yield standing_ray
    ray.shutdown()


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """A real local Ray with `DEVICES` simulated NPUs of the file's own; otherwise as `joined_ray`."""
    with clusters.local(DEVICES):
        yield
