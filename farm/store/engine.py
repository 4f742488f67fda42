"""Opens the database behind the store: connection settings, migrations, and a damaged file moved out of the way."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, create_engine, event, extract, func, make_url, select
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)

from farm.errors import InfrastructureError, UsageError
from farm.process.extras import MissingExtraError, named
from farm.store.schema_migration import Migrations, migrate
from farm.store.tables import REVISION
from farm.timestamps import utc_now

Warn = Callable[[str], None]

_BUSY_MS = 30_000  # how long a writer waits for another one
_OPEN_WAIT_S = 120  # how long an open waits for another process's migration
_CHECKED_BYTES = 256 << 20  # a full check reads the whole file; beyond this size only its head is read
TREE = Migrations("the store's", Path(__file__).with_name("migrations"), REVISION, "alembic_version", 0x6E70_7566)
_UNWRITABLE = ("unable to open database file", "readonly database")  # SQLITE_CANTOPEN, SQLITE_READONLY
_DAMAGE = ("file is not a database", "malformed")  # SQLITE_NOTADB, SQLITE_CORRUPT; 3.10 has no codes on the error


class StoreError(InfrastructureError):
    """The store's database refused. The message is the database's own, in one line.

    `away` says whether the same may succeed later: it is locked, full, restarting or cannot be reached.
    """

    def __init__(self, doing: str, cause: Exception, remedy: str = "") -> None:
        self.away = isinstance(cause, (OperationalError, InterfaceError))
        detail = getattr(cause, "orig", None) or cause
        lines = str(detail).strip().splitlines() or [type(detail).__name__]
        super().__init__(f"the store could not be {doing}: {lines[0]}{remedy}")


class StoreSilentError(StoreError):
    """The store's database has not answered in time: it is stopped, or the network swallows what is sent."""

    def __init__(self, doing: str, limit_s: float) -> None:
        super().__init__(doing, TimeoutError(f"its database has not answered within {limit_s:g} s"))
        self.away = True


def open_engine(url: str, warn: Warn) -> Engine:
    """An engine on `url` whose tables are up to date.

    A SQLite file that is not a readable database is moved aside, `warn` gets one line on it, and a fresh one takes its
    place. Raises `UsageError` for a URL nobody can open, `StoreError` where the database refuses.
    """
    engine = _engine(url)
    path = _file(engine)
    try:
        if path is None:
            migrate(engine, TREE)
        else:
            _prepare_file(engine, path, warn)
    except Timeout:
        engine.dispose()
        raise InfrastructureError(f"the store {path} is locked by another process; try again") from None
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        engine.dispose()
        raise StoreError("opened", error, _remedy(error)) from error
    return engine


def _remedy(error: Exception) -> str:
    """What to do where a store's file can be neither made nor written; "" for any other refusal."""
    unwritable = isinstance(error, OSError) or any(sign in str(error) for sign in _UNWRITABLE)
    return "; choose a place that you may write to with FARM_HOME or FARM_STORE" if unwritable else ""


@contextmanager
def transaction(engine: Engine, doing: str, write: bool = False) -> Iterator[Connection]:
    """One transaction. Its errors become `StoreError`; a SQLite writer takes the write lock at once.

    Taking it at the first write instead would fail without waiting whenever another process wrote in between.
    """
    try:
        with engine.connect().execution_options(farm_write=write) as connection, connection.begin():
            yield connection
    except DBAPIError as error:
        raise StoreError(doing, error) from error


def clock(connection: Connection) -> float:
    """Seconds of the database's own clock: hosts that share a database need not agree on theirs."""
    if connection.dialect.name == "postgresql":
        return float(connection.execute(select(extract("epoch", func.clock_timestamp()))).scalar_one())
    return time.time()  # SQLite has its callers' clock, and they are on one host


def _engine(url: str) -> Engine:
    try:
        engine = create_engine(make_url(url), pool_pre_ping=True)  # a database that was restarted costs no error
    except (ArgumentError, NoSuchModuleError) as error:
        raise UsageError(f"the store's URL is not one: {error}; see $FARM_STORE") from error
    except ModuleNotFoundError as error:
        missing = named(error)
        if isinstance(missing, MissingExtraError):
            raise missing from error
        raise UsageError(f"the store's URL needs the Python package '{error.name}'; install it") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver would otherwise begin transactions behind our back
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    connection.execute("PRAGMA synchronous = FULL")  # in WAL mode, NORMAL may lose what was acknowledged
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("farm_write", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _file(engine: Engine) -> Path | None:
    name = engine.url.database
    if engine.dialect.name != "sqlite" or not name or name == ":memory:" or name.startswith("file:"):
        return None
    return Path(name)


def _prepare_file(engine: Engine, path: Path, warn: Warn) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=_OPEN_WAIT_S):
        damage = _damage(path)
        if damage:
            aside = _move_aside(path)
            warn(f"the store {path} was damaged ({damage}); moved to {aside.name}, a fresh one is used")
        with engine.connect() as connection:
            # Kept in the file, so once is enough; outside a transaction, where SQLite allows the change.
            connection.connection.execute("PRAGMA journal_mode = WAL")
        migrate(engine, TREE)


def _damage(path: Path) -> str:
    """What is wrong with the SQLite file, "" where nothing is or there is none."""
    if not path.exists():
        return ""
    depth = "quick_check(1)" if path.stat().st_size <= _CHECKED_BYTES else "schema_version"
    try:
        # Read-only: the last writer to close a database tidies its log away, which may be evidence here.
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", timeout=_BUSY_MS / 1000, uri=True)
        try:
            found = str(connection.execute(f"PRAGMA {depth}").fetchone()[0])
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if any(sign in str(error) for sign in _DAMAGE):
            return str(error)
        raise
    return "" if found == "ok" or found.isdigit() else found.splitlines()[0]


def _move_aside(path: Path) -> Path:
    stamp = utc_now().strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):  # they belong to the old file; left behind, SQLite would replay them into the new
        side = path.with_name(path.name + suffix)
        if side.exists():
            side.rename(aside.with_name(aside.name + suffix))
    return aside
