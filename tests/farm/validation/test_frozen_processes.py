"""A worker or the store's database is stopped or held during a run: one verdict, in time, and no device blamed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine

from farm import paths
from farm.cluster import connection
from farm.execution.observer import Observer
from farm.execution.session import SessionOptions
from farm.model.budgets import Budget
from farm.model.run import DeviceRecord, RunRecord, RunRequest, Verdict
from farm.model.timeouts import Timeouts
from farm.store import run_writer
from farm.store.run_import import bring_in
from farm.store.run_store import Store
from jobs.records import TrialRecord, TrialStatus
from tests.fakes import platforms
from tests.farm.conftest import DEVICES
from tests.farm.validated import run
from tests.waiting import came_true, until

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("at_home", "joined_ray")]

BUDGETS = {"tiny": Budget(ceiling_us=545.0, ratchet_us=None, source="test")}
TRIAL_S = 5.0


class AtFirstTrial(Observer):
    """Does something as soon as the run has measured a trial."""

    def __init__(self, action: Callable[[list[DeviceRecord]], None]) -> None:
        self._action = action
        self._devices: list[DeviceRecord] = []
        self._done = False

    def began(self, run_id: str, devices: list[DeviceRecord], trials: int) -> None:
        self._devices = devices

    def measured(self, trial: TrialRecord, kept: bool) -> None:
        if not self._done:
            self._done = True
            self._action(self._devices)


def validate(out: Path, action: Callable[[list[DeviceRecord]], None]) -> RunRecord:
    request = RunRequest(
        kernel="qkv_proj_rope",
        cases=["tiny"],
        platform="fake",
        devices=2,
        repeats=3,
        input_set="documented",
        seed=0,
    )
    limits = Timeouts(trial_s=TRIAL_S)
    options = SessionOptions(out=out, platform=platforms.Honest, budgets=BUDGETS, timeouts=limits)
    return run(request, options, AtFirstTrial(action))


def all_free() -> bool:
    return came_true(lambda: connection.free_count() == DEVICES, 30.0)


def test_a_frozen_worker_is_ended_at_the_trials_limit_and_its_device_is_given_back(tmp_path: Path) -> None:
    """To the farm this is a hang, which makes its device suspect at most."""
    stopped: list[int] = []

    def freeze(devices: list[DeviceRecord]) -> None:
        stopped.append(devices[0].pid)
        os.kill(devices[0].pid, signal.SIGSTOP)

    record = validate(tmp_path, freeze)

    assert record.verdict is Verdict.PASSED, record.reason
    lost = [trial.failure.kind for trial in record.trials if trial.failure]
    assert set(lost) == {"hang"}
    assert len([trial for trial in record.trials if trial.status is TrialStatus.OK]) == 6
    assert came_true(lambda: not psutil.pid_exists(stopped[0]), 30.0)
    assert all_free()
    with Store.open(paths.store_url()) as store:
        health = store.health("fake")
    assert health
    assert all(each.usable for each in health.values())


def test_a_sqlite_file_that_another_process_holds_until_the_reports_are_written_loses_nothing(tmp_path: Path) -> None:
    script = "import sqlite3, sys; held = sqlite3.connect(sys.argv[1], isolation_level=None); "
    script += "held.execute('BEGIN EXCLUSIVE'); print('held', flush=True); sys.stdin.read()"
    path = paths.store_url().removeprefix("sqlite:///")

    def hold(devices: list[DeviceRecord]) -> None:
        holder = subprocess.Popen(
            [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        def let_go() -> None:
            came_true(lambda: list(tmp_path.glob("*/report.json")), 60.0)
            holder.communicate()

        threading.Thread(target=let_go).start()

    record = validate(tmp_path, hold)

    assert record.verdict is Verdict.PASSED, record.reason
    with Store.open(paths.store_url()) as store:
        kept = store.get(record.run_id)
    assert (kept.verdict, len(kept.trials)) == (Verdict.PASSED, 6)
    assert not list(tmp_path.glob(f"*/{run_writer.UNSTORED}"))
    assert all_free()


def nothing_under_way(store: Store) -> bool:
    asked = "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state NOT LIKE 'idle%%'"
    with store.engine.connect() as connection:
        return int(connection.exec_driver_sql(asked).scalar_one()) == 0


@contextlib.contextmanager
def thawed_at_the_end(frozen: list[int]) -> Iterator[None]:
    try:
        yield
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)


def test_a_run_whose_postgresql_is_frozen_passes_and_is_imported_later(
    tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its server process for the run is stopped: the connection stays open, and is never answered."""
    monkeypatch.setenv("FARM_STORE", postgres)
    monkeypatch.setenv(run_writer.WAIT_VARIABLE, "1")
    engine = create_engine(postgres)
    frozen: list[int] = []

    def freeze(devices: list[DeviceRecord]) -> None:
        with engine.connect() as asking:
            others = (
                "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            frozen.extend(asking.exec_driver_sql(others).scalars())
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)

    with thawed_at_the_end(frozen):
        record = validate(tmp_path, freeze)
        assert frozen
        assert all_free()
    engine.dispose()

    [directory] = tmp_path.glob("2*")
    assert record.verdict is Verdict.PASSED, record.reason
    assert (directory / "report.json").exists()
    assert (directory / run_writer.UNSTORED).exists()
    with Store.open(postgres) as store:
        until(lambda: nothing_under_way(store), 30.0, "the end of what was written while it was frozen")
        store.interrupt(record.run_id, "interrupted: settled by a reader")
        assert bring_in(store, directory) == (record.run_id, True)
        kept = store.get(record.run_id)
    assert (kept.verdict, len(kept.trials)) == (Verdict.PASSED, 6)
