"""Backup and restore of the store, as docs/operator/housekeeping.md describes them."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import make_url

from farm.model.run import Verdict
from farm.report.write import write_reports
from farm.store.run_import import bring_in
from farm.store.run_store import Store
from tests import throwaway_postgres
from tests.farm import samples

BEFORE, UNDER_WAY, LATER = "20261101-120000-aaaaaa", "20261102-120000-cccccc", "20261103-120000-bbbbbb"


def run(store: Store, run_id: str, directory: Path) -> None:
    record = samples.run(run_id=run_id, directory=str(directory))
    store.begin(record.model_copy(update={"verdict": None}))
    store.finish(record)
    directory.mkdir(parents=True)
    write_reports(record, directory)


def copied(source: Path, target: Path) -> None:
    """What `.backup` of the sqlite3 program does: SQLite's own online backup."""
    with contextlib.closing(sqlite3.connect(source)) as live, contextlib.closing(sqlite3.connect(target)) as copy:
        live.backup(copy)


def test_a_copy_of_sqlite_made_while_runs_go_on_is_whole_and_later_runs_are_brought_in(tmp_path: Path) -> None:
    live, copy = tmp_path / "store.sqlite", tmp_path / "copy.sqlite"
    with Store.open(f"sqlite:///{live}") as store:
        run(store, BEFORE, tmp_path / "runs" / BEFORE)
        store.begin(samples.run(run_id=UNDER_WAY, verdict=None))
        copied(live, copy)
        store.begin(samples.run(run_id=LATER, verdict=None))
        store.finish(samples.run(run_id=LATER))
    directory = tmp_path / "runs" / LATER
    directory.mkdir(parents=True)
    write_reports(samples.run(run_id=LATER, directory=str(directory)), directory)

    for left in tmp_path.glob("store.sqlite*"):
        left.unlink()
    copy.rename(live)

    with Store.open(f"sqlite:///{live}") as store:
        assert store.get(BEFORE).verdict is Verdict.PASSED
        assert store.get(UNDER_WAY).verdict is None
        bring_in(store, directory)
        assert store.get(LATER).verdict is Verdict.PASSED


@pytest.mark.service
def test_a_dump_of_postgresql_gives_the_store_back() -> None:
    programs = throwaway_postgres.binaries()
    if programs is None or not (programs / "pg_dump").exists():
        pytest.skip("no PostgreSQL here")
    with throwaway_postgres.running(programs) as url:
        with Store.open(url) as store:
            record = samples.run(run_id=BEFORE)
            store.begin(record.model_copy(update={"verdict": None}))
            store.finish(record)
        place = make_url(url).query["host"]
        where = ["-h", str(place), "-U", "farm"]
        dump = subprocess.run([programs / "pg_dump", *where, "postgres"], capture_output=True, check=True).stdout
        subprocess.run([programs / "psql", *where, "-q", "-c", "CREATE DATABASE restored", "postgres"], check=True)
        subprocess.run([programs / "psql", *where, "-q", "restored"], input=dump, check=True, stdout=subprocess.DEVNULL)

        with Store.open(url.replace("/postgres?", "/restored?")) as store:
            assert store.get(BEFORE).verdict is Verdict.PASSED
