"""The gate's tables in the farm's database: opened by the farm, then brought up to date by migrations of their own."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from ci.tables import REVISION, VERSION_TABLE
from farm.database import StoreError, Warn, open_engine, transaction
from farm.errors import UsageError

_MIGRATION_LOCK = 0x6E70_7567  # any number, the same for every gate on one PostgreSQL server


def open_database(url: str, warn: Warn) -> Engine:
    """An engine on `url` with the farm's tables and the gate's, both up to date.

    Raises `UsageError` where a newer farm made them, `StoreError` where the database refuses.
    """
    engine = open_engine(url, warn)
    try:
        _migrate(engine)
    except SQLAlchemyError as error:
        engine.dispose()
        raise StoreError("opened", error) from error
    except UsageError:
        engine.dispose()
        raise
    return engine


def check_revision(engine: Engine) -> None:
    """Raise where the database does not answer, or has been migrated by a newer farm since it was opened."""
    with transaction(engine, "read") as connection:
        found = _revision(connection)
    if found != REVISION:
        raise UsageError(f"the gate's tables are of revision {found}, this farm knows {REVISION}; start the newer farm")


def _migrate(engine: Engine) -> None:
    with engine.connect() as connection:
        found = _revision(connection)
    if found == REVISION:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    with engine.begin() as connection:  # on SQLite this is the write lock already
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            message = f"the gate's tables are of revision {found}, this farm knows them up to {REVISION}"
            raise UsageError(f"{message}; use the newer farm that made them, or another $FARM_STORE") from error


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    return None if found is None else str(found)
