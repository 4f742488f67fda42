"""Fresh databases without Alembic: what it executes the first time is executed again for each later database.

A test of the service opens a database of its own, and each of the two trees costs Alembic a fifth of a second. What it
executes on an empty database is always the same, so a replay leaves the same tables; whatever is not fresh is migrated
by Alembic itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from farm.store import schema_migration
from farm.store.schema_migration import Migrations, revision

_Statements = list[tuple[str, Any]]
_recorded: dict[tuple[str, str], _Statements] = {}


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Have stores that are opened in this process replayed where they are fresh."""
    with pytest.MonkeyPatch.context() as patch:
        for where in ("farm.store.engine.migrate", "ci.store.engine.migrate"):
            patch.setattr(where, migrate)
        yield


def migrate(engine: Engine, tree: Migrations) -> None:
    """Do what `farm.store.schema_migration.migrate` does."""
    key = (engine.dialect.name, tree.whose)
    if key in _recorded:
        _replay(engine, tree, _recorded[key])
    statements: _Statements = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.split(maxsplit=1)[0].upper() in ("CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE"):
            statements.append((statement, parameters))

    with engine.connect() as connection:
        fresh = revision(connection, tree) is None
    event.listen(engine, "before_cursor_execute", note)
    try:
        schema_migration.migrate(engine, tree)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    if fresh and statements:  # none where another process was faster
        _recorded.setdefault(key, statements)


def _replay(engine: Engine, tree: Migrations, statements: _Statements) -> None:
    with engine.connect() as connection:
        if revision(connection, tree) is not None:
            return
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": tree.lock})
        if revision(connection, tree) is None:  # nobody else was faster
            for statement, parameters in statements:
                connection.exec_driver_sql(statement, parameters)
