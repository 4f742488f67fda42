"""Brings the tables of a database up to date with Alembic: the farm's own, and those of a layer above."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from farm.errors import UsageError


@dataclass(frozen=True, slots=True)
class Migrations:
    """One tree of migration scripts."""

    whose: str  # "the store's", for messages
    directory: Path  # with `env.py` and `versions/`
    newest: str  # revision this code is written for
    version_table: str  # where Alembic notes the revision
    lock: int  # key of PostgreSQL's advisory lock; any number, the same for every process of one server


def migrate(engine: Engine, tree: Migrations) -> None:
    """Bring the tables to `tree.newest`. Raises `UsageError` where newer code has made them.

    Alembic takes a while to load, so it is not loaded where there is nothing to do.
    """
    with engine.connect() as connection:
        found = revision(connection, tree)
    if found == tree.newest:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(tree.directory).replace("%", "%%"))
    with engine.begin() as connection:  # on SQLite this is the write lock already
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": tree.lock})
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            message = f"{tree.whose} tables are of revision {found}, this farm knows them up to {tree.newest}"
            raise UsageError(f"{message}; use the newer farm that made them, or another $FARM_STORE") from error


def revision(connection: Connection, tree: Migrations) -> str | None:
    """The revision the tables are of; None where there are none yet."""
    if not inspect(connection).has_table(tree.version_table):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {tree.version_table}")).scalar()
    return None if found is None else str(found)
