"""What only a SQLite file can suffer: damage, a directory in its place, migrations from nothing and from the future."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

import farm.store.migrations
from farm.errors import UsageError
from farm.store.engine import StoreError, open_engine
from farm.store.run_store import Store
from farm.store.tables import METADATA, REVISION
from tests.farm import samples


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


def open_store(path: Path, said: list[str] | None = None) -> Store:
    return Store.open(f"sqlite:///{path}", (said if said is not None else []).append)


def filled(path: Path) -> None:
    with open_store(path) as store:
        for number in range(10):
            store.begin(samples.running(f"run-{number}"))
            store.finish(samples.run(run_id=f"run-{number}"))


def not_a_database(path: Path) -> None:
    path.write_bytes(b"this was never a database\n" * 200)


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scribbled_over(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 8192] = b"\xa5" * 8192
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [not_a_database, cut_in_half, scribbled_over])
def test_a_damaged_file_is_moved_aside_with_one_line(path: Path, damage: object) -> None:
    filled(path)
    assert callable(damage)
    damage(path)
    content = path.read_bytes()
    said: list[str] = []

    with open_store(path, said) as store:
        assert store.list() == []
        store.begin(samples.running())

    (aside,) = [
        found for found in path.parent.glob("store.sqlite.corrupt-*") if not found.name.endswith(("wal", "shm"))
    ]
    assert aside.read_bytes() == content, "the damaged file is evidence and stays as it was"
    (line,) = said
    assert aside.name in line
    assert "\n" not in line


def test_the_line_goes_to_stderr_where_nobody_listens(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    not_a_database(path)

    Store.open(f"sqlite:///{path}").close()

    err = capsys.readouterr().err
    assert err.startswith("farm: the store ")
    assert err.count("\n") == 1


def test_the_old_write_ahead_log_is_not_replayed_into_the_fresh_file(path: Path) -> None:
    filled(path)
    wal = path.with_name("store.sqlite-wal")
    wal.write_bytes(b"pages of the damaged file")
    not_a_database(path)

    with open_store(path) as store:
        store.begin(samples.running())
        assert [run.run_id for run in store.list()] == [samples.running().run_id]

    assert len(list(path.parent.glob("store.sqlite.corrupt-*-wal"))) == 1


def test_a_sound_file_is_kept(path: Path) -> None:
    filled(path)
    said: list[str] = []

    with open_store(path, said) as store:
        assert len(store.list()) == 10

    assert said == []
    assert not list(path.parent.glob("*.corrupt-*"))


def test_the_file_is_in_wal_mode_and_commits_reach_the_disk(path: Path) -> None:
    engine = open_engine(f"sqlite:///{path}", print)
    with engine.connect() as connection:
        pragmas = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in PRAGMAS}
    engine.dispose()

    assert pragmas == PRAGMAS


PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 30_000, "foreign_keys": 1}


def test_a_place_nobody_can_write_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="could not be opened") as caught:
        open_store(tmp_path / "file" / "store.sqlite")

    assert "\n" not in str(caught.value)


def test_a_store_of_a_newer_farm_is_refused_and_left_alone(path: Path) -> None:
    filled(path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()

    with pytest.raises(UsageError) as caught:
        open_store(path)

    assert str(caught.value) == (
        f"the store's tables are of revision 9999, this farm knows them up to {REVISION}; "
        "use the newer farm that made them, or another $FARM_STORE"
    )
    assert not list(path.parent.glob("*.corrupt-*"))


def test_migrations_make_exactly_the_tables_the_store_uses(path: Path) -> None:
    open_store(path).close()

    with create_engine(f"sqlite:///{path}").connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_the_newest_migration_is_the_one_the_store_expects() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(farm.store.migrations.__file__).parent))

    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


@pytest.mark.parametrize("damaged", [False, True])
def test_many_may_open_it_at_once_and_one_of_them_prepares_it(path: Path, damaged: bool) -> None:
    if damaged:
        not_a_database(path)
    said: list[str] = []
    together = threading.Barrier(8)

    def open_and_write(number: int) -> None:
        together.wait()
        with open_store(path, said) as store:
            store.begin(samples.running(f"run-{number}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(open_and_write, range(8)))

    with open_store(path) as store:
        assert {run.run_id for run in store.list()} == {f"run-{number}" for number in range(8)}
    assert len(said) == len(list(path.parent.glob("*.corrupt-*"))) == (1 if damaged else 0)


def test_a_place_that_cannot_be_written_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match=r"file.*; choose a place that you may write to with FARM_HOME or FARM_STORE"):
        open_store(tmp_path / "file" / "below" / "farm.db")
