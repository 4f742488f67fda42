"""One local Ray for all tests that need one, a farm home of their own, and a store on each kind of database."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from farm.store import Store
from farm.tables import METADATA

DEVICES = 4
POSTGRES = os.environ.get("FARM_TEST_POSTGRES", "")


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


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind; PostgreSQL where `$FARM_TEST_POSTGRES` names one."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'below' / 'store.sqlite'}"
    if not POSTGRES:
        pytest.skip("FARM_TEST_POSTGRES names no PostgreSQL server")
    engine = create_engine(POSTGRES)
    with engine.begin() as connection:
        METADATA.drop_all(connection)
        connection.exec_driver_sql("DROP TABLE IF EXISTS alembic_version")
    engine.dispose()
    return POSTGRES


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A store on `url`."""
    with Store.open(url) as opened:
        yield opened


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """A real Ray on this machine with `DEVICES` simulated NPUs; `farm.cluster.connected` uses it as it is."""
    import ray

    logging.getLogger("ray._private.accelerators.npu").setLevel(logging.CRITICAL)
    ray.init(
        address="local",  # or Ray joins the cluster of a test that runs beside this one
        num_cpus=2,
        resources={"NPU": DEVICES},
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    yield
    ray.shutdown()
