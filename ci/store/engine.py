"""The gate's tables in the farm's database: opened by the farm, then brought up to date by migrations of their own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from ci.store.tables import REVISION, VERSION_TABLE
from farm.errors import UsageError
from farm.store.engine import StoreError, Warn, open_engine, transaction
from farm.store.schema_migration import Migrations, migrate, revision

LOG = logging.getLogger(__name__)

TREE = Migrations("the gate's", Path(__file__).with_name("migrations"), REVISION, VERSION_TABLE, 0x6E70_7567)


def open_database(url: str, warn: Warn) -> Engine:
    """An engine on `url` with the farm's tables and the gate's, both up to date.

    Raises `UsageError` where a newer farm made them, `StoreError` where the database refuses.
    """
    files = _files(url)
    _keep_private(files[:1], make=True)  # before anything is in it; SQLite gives what it adds beside it the same mode
    engine = open_engine(url, warn)
    try:
        migrate(engine, TREE)
        _keep_private(files)
    except SQLAlchemyError as error:
        engine.dispose()
        raise StoreError("opened", error) from error
    except UsageError:
        engine.dispose()
        raise
    return engine


def _files(url: str) -> list[Path]:
    """The files of a SQLite database; none of another one."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return []  # `open_engine` says so
    name = parsed.database or ""
    if parsed.get_backend_name() != "sqlite" or name in ("", ":memory:") or name.startswith("file:"):
        return []
    return [Path(f"{name}{suffix}") for suffix in ("", "-wal", "-shm", "-journal")]


def _keep_private(files: Sequence[Path], *, make: bool = False) -> None:
    """Have nobody else read them: they hold what forges delivered, which may be of private repositories."""
    for file in files:
        try:
            if make:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch(mode=0o600)
            if file.exists() and file.stat().st_mode & 0o077:
                file.chmod(0o600)
        except OSError as error:
            LOG.warning("%s cannot be kept from others: %s", file, error.strerror)


def check_revision(engine: Engine) -> None:
    """Raise where the database does not answer, or has been migrated by a newer farm since it was opened."""
    with transaction(engine, "read") as connection:
        found = revision(connection, TREE)
    if found != REVISION:
        raise UsageError(f"the gate's tables are of revision {found}, this farm knows {REVISION}; start the newer farm")
