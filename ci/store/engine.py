"""The gate's tables in the farm's database: opened by the farm, then brought up to date by migrations of their own."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from ci.store.tables import REVISION, VERSION_TABLE
from farm.errors import UsageError
from farm.store.engine import StoreError, Warn, open_engine, transaction
from farm.store.schema_migration import Migrations, migrate, revision

TREE = Migrations("the gate's", Path(__file__).with_name("migrations"), REVISION, VERSION_TABLE, 0x6E70_7567)


def open_database(url: str, warn: Warn) -> Engine:
    """An engine on `url` with the farm's tables and the gate's, both up to date.

    Raises `UsageError` where a newer farm made them, `StoreError` where the database refuses.
    """
    engine = open_engine(url, warn)
    try:
        migrate(engine, TREE)
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
        found = revision(connection, TREE)
    if found != REVISION:
        raise UsageError(f"the gate's tables are of revision {found}, this farm knows {REVISION}; start the newer farm")
