"""What all tests share."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import pytest
from hypothesis import settings
from sqlalchemy import create_engine

from tests import quick_migrations, slow_files, throwaway_postgres

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A suite of its own, whose tests lease from a cluster that their processes stay connected to. See its files.
collect_ignore = ["devices"]

# How long an example takes says how busy the machine is, and nothing else.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# A slow machine must not decide whether a command that ends at once has said what it does.
os.environ["FARM_FIRST_LINE_AFTER"] = "0"

# A Ray that is started in a test process asks for a token, and so does each later connection of that process to another
# one. So all that the tests start ask for the same one, in whatever order files come. Another test process inherits it.
if "FARM_TESTS_RAY_TOKEN" not in os.environ:
    own_directory = Path(tempfile.mkdtemp(prefix="farm-tests-"))
    atexit.register(shutil.rmtree, own_directory, ignore_errors=True)
    token = own_directory / "ray_token"
    token.write_text(secrets.token_hex(32))
    os.environ["FARM_TESTS_RAY_TOKEN"] = str(token)
os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=os.environ["FARM_TESTS_RAY_TOKEN"])

# A suite started in the background may have been told to ignore Ctrl-C, and so would every process that it starts. The
# tests that interrupt one mean it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their place in the list: what they hold (a packer's time) may differ between two test processes."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slowest files, so that none is left for the end while the other test processes are idle.

    Mark every test of a file that takes seconds `slow`.
    """
    slow, others = slow_files.listed(), slow_files.others()
    items.sort(key=lambda item: slow_files.place(item.nodeid, slow))
    for item in items:
        if item.nodeid.partition("::")[0] in (*slow, *others):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def quick_databases() -> Iterator[None]:
    """Fresh databases of this process get their tables without Alembic."""
    with quick_migrations.installed():
        yield


@pytest.fixture(scope="session")
def sim_cache() -> Path:
    """A cache that outlives the tests, because PyPTO's calculator takes 20 s and more to build."""
    return Path(os.environ.get("FARM_TEST_CACHE") or platformdirs.user_cache_path("farm-tests"))


@pytest.fixture(scope="session")
def python_with_torch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Python that has loaded torch."""
    from tests.warm_python import warm_python  # for few tests

    with warm_python(tmp_path_factory.mktemp("python")) as started:
        yield started


@pytest.fixture
def warm(python_with_torch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes are started with it."""
    monkeypatch.setattr(sys, "executable", python_with_torch)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL: the one `$FARM_TEST_POSTGRES` names, else one of the tests' own where its binaries are here."""
    named = os.environ.get("FARM_TEST_POSTGRES", "")
    programs = throwaway_postgres.binaries()
    if named:
        yield named
    elif programs:
        with throwaway_postgres.running(programs) as url:
            yield url
    else:
        pytest.skip("no PostgreSQL: none is installed, and FARM_TEST_POSTGRES names none")


def _empty(kind: str, request: pytest.FixtureRequest, directory: Path) -> str:
    if kind == "sqlite":
        return f"sqlite:///{directory / 'below' / 'store.sqlite'}"
    found: str = request.getfixturevalue("postgres")
    engine = create_engine(found)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    return _empty(request.param, request, tmp_path)


@pytest.fixture
def database_kind() -> str:
    """Which database `one_url` is of. What depends on the database is parametrized over the names of both."""
    return "sqlite"


@pytest.fixture
def one_url(request: pytest.FixtureRequest, tmp_path: Path, database_kind: str) -> str:
    """An empty database, for tests of what is the same on each kind."""
    return _empty(database_kind, request, tmp_path)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for the tests of one file: while Playwright runs, no other test of the process could use asyncio."""
    from tests.browser import CHROMIUM, chromium  # axe and Playwright, which few tests need

    if not CHROMIUM.exists():
        pytest.skip(f"needs {CHROMIUM}: apt-get install chromium")
    with chromium() as started:
        yield started
