from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, inspect, text

from ci.queue import job_targets
from ci.store.engine import check_revision, open_database
from ci.store.states import TargetState
from ci.store.tables import JOB, METADATA, VERSION_TABLE
from farm.errors import UsageError
from farm.model.audit import AuditAction
from farm.model.run import Verdict
from farm.store import audit_log
from farm.store.engine import transaction
from farm.store.run_store import Store


def url(directory: Path) -> str:
    return f"sqlite:///{directory / 'store.sqlite'}"


def test_the_migrations_make_the_tables_that_the_code_describes(tmp_path: Path) -> None:
    engine = open_database(url(tmp_path), print)

    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": VERSION_TABLE,
                "include_object": lambda thing, name, kind, found, other: kind != "table" or name in METADATA.tables,
            },
        )
        assert compare_metadata(context, METADATA) == []
    check_revision(engine)


def test_the_gate_and_the_farm_share_a_database_and_open_it_in_any_order(tmp_path: Path) -> None:
    with Store.open(url(tmp_path)):
        pass
    open_database(url(tmp_path), print).dispose()

    with Store.open(url(tmp_path)) as store:
        assert store.list() == []
    check_revision(open_database(url(tmp_path), print))


def test_tables_of_a_newer_farm_are_left_alone(tmp_path: Path) -> None:
    engine = open_database(url(tmp_path), print)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))

    with pytest.raises(UsageError, match="9999"):
        check_revision(engine)
    with pytest.raises(UsageError, match="newer farm"):
        open_database(url(tmp_path), print)


def test_what_the_service_has_noted_so_far_is_in_the_one_audit_log(tmp_path: Path) -> None:
    engine = open_database(url(tmp_path), print)
    with engine.begin() as connection:
        columns = "sequence INTEGER PRIMARY KEY, at, actor, action, subject, detail"
        connection.execute(text(f"CREATE TABLE audit ({columns})"))
        connection.execute(text("CREATE INDEX ix_audit_subject ON audit (subject)"))
        connection.execute(text("DROP TABLE job_target"))
        old = "'2026-01-01T00:00:00.000+00:00', 'will@github', 'approved', 'j1', 'its commit'"
        connection.execute(text(f"INSERT INTO audit (at, actor, action, subject, detail) VALUES ({old})"))
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0007'"))
    engine.dispose()

    with open_database(url(tmp_path), print).connect() as connection:
        [entry] = audit_log.entries(connection, 10)
        tables = inspect(connection).get_table_names()
    assert (entry.actor, entry.action, entry.subject) == ("will@github", AuditAction.APPROVED, "j1")
    assert entry.outcome == "done" and "audit" not in tables


def test_a_job_of_a_store_without_targets_is_found_as_it_was(tmp_path: Path) -> None:
    engine = open_database(url(tmp_path), print)
    told = {"subject": "pull/7", "kind": "pull-request", "head_sha": "a" * 40, "base_sha": "", "base_ref": "main"}
    told |= {"forge": "github", "repository": "o/r", "author": "", "priority": "pull-request", "options": "{}"}
    told |= {"state": "running", "reason": "", "approved_by": "", "run_id": "r1", "created_at": "2026-01-01"}
    with engine.begin() as connection:
        connection.execute(insert(JOB).values(id="j1", from_fork=False, **told))
        connection.execute(text("DROP TABLE job_target"))
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0008'"))
    engine.dispose()

    engine = open_database(url(tmp_path), print)
    with transaction(engine, "written", write=True) as connection:
        assert job_targets.of_job(connection, "j1") == []
        job_targets.end(connection, "j1", "r1", Verdict.FAILED, "it is failed")
        [found] = job_targets.of_job(connection, "j1")
    assert (found.plan, found.state, found.run_id) == (None, TargetState.DONE, "r1")
    assert (found.verdict, found.reason) == (Verdict.FAILED, "it is failed")
