"""A run keeps going while its store is away, and loses nothing: on both databases, with real locks and real loss."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from farm.errors import UsageError
from farm.model.device_health import DeviceState, EventKind, HealthEvent
from farm.model.run import RunRecord, Verdict
from farm.report.write import write_reports
from farm.store import run_writer
from farm.store.engine import StoreError
from farm.store.run_import import bring_in
from farm.store.run_store import RunningError, Store, VerdictExistsError
from farm.store.run_writer import UNSTORED, RunWriter
from farm.timestamps import now
from tests.farm import samples

RUN = samples.running().run_id
DEVICE = "10.0.0.1/0"


class Away(Store):
    """A store that can be put away: every write then fails as one on a locked database does."""

    away = False

    def begin(self, record: RunRecord) -> None:
        self._require()
        super().begin(record)

    def save_trials(self, run_id: str, trials: list[Any]) -> None:
        self._require()
        super().save_trials(run_id, trials)

    def observe(self, events: Any) -> None:
        self._require()
        super().observe(events)

    def finish(self, record: RunRecord) -> None:
        self._require()
        super().finish(record)

    def health(self, platform: str) -> Any:
        self._require()
        return super().health(platform)

    def device_history(self, platform: str, device: str, limit: int = 50) -> Any:
        self._require()
        return super().device_history(platform, device, limit)

    def _require(self) -> None:
        if self.away:
            raise StoreError("written", OperationalError("INSERT", {}, Exception("database is locked")))


@pytest.fixture
def away(url: str) -> Iterator[Away]:
    with Away.open(url) as opened:
        assert isinstance(opened, Away)
        yield opened


@contextmanager
def writing(store: Store) -> Iterator[RunWriter]:
    writer = RunWriter(store, prompt_s=0.2, pause_s=0.02)
    yield writer
    writer.close()


def conclude(writer: RunWriter, directory: Path, patience_s: float, **changes: Any) -> RunRecord:
    record = samples.run(run_id=RUN, directory=str(directory), **changes)
    lost = HealthEvent(DEVICE, record.platform, now(), EventKind.VOTE_LOST, "other bits", RUN)
    writer.conclude(record, [lost], lambda: write_reports(record, directory), directory, patience_s)
    return record


def test_what_is_written_is_durable_when_the_call_returns(store: Store, url: str) -> None:
    with writing(store) as writer:
        writer.begin(samples.running())
        writer.save_trials(RUN, [samples.trial(DEVICE, 0)])

        with Store.open(url) as other:
            assert [trial.repeat for trial in other.get(RUN).trials] == [0]


def test_calls_return_while_the_store_is_away_and_all_is_written_when_it_is_back(away: Away, tmp_path: Path) -> None:
    with writing(away) as writer:
        writer.begin(samples.running())
        away.away = True
        begun = time.monotonic()
        for repeat in range(20):
            writer.save_trials(RUN, [samples.trial(DEVICE, repeat)])
        waited_s = time.monotonic() - begun
        back = threading.Timer(0.3, setattr, (away, "away", False))
        back.start()

        record = conclude(writer, tmp_path, patience_s=60)

    assert waited_s < 2.0
    assert away.get(RUN).verdict is record.verdict
    assert away.get(RUN).trials == record.trials
    assert not (tmp_path / UNSTORED).exists()


def test_reports_are_written_and_the_run_is_imported_where_the_store_stays_away(
    away: Away, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with writing(away) as writer:
        writer.begin(samples.running())
        away.away = True

        record = conclude(writer, tmp_path, patience_s=0.1)

    assert json.loads((tmp_path / "report.json").read_text())["verdict"] == record.verdict
    assert f"database is locked; the run is in {tmp_path}" in capsys.readouterr().err
    away.away = False
    away.interrupt(RUN, "interrupted: process 1 on there ended without a verdict")  # as any reader would by now

    assert bring_in(away, tmp_path) == (RUN, True)
    assert away.get(RUN).model_dump(exclude={"directory"}) == record.model_dump(exclude={"directory"})
    assert away.health(record.platform)[DEVICE].state is DeviceState.QUARANTINED
    assert bring_in(away, tmp_path) == (RUN, False)
    assert len(away.device_history(record.platform, DEVICE)) == 1


def test_a_run_that_never_came_into_the_store_is_imported(away: Away, tmp_path: Path) -> None:
    away.away = True
    with writing(away) as writer:
        writer.begin(samples.running())
        conclude(writer, tmp_path, patience_s=0.0)
    away.away = False

    assert bring_in(away, tmp_path) == (RUN, True)
    assert away.get(RUN).verdict is Verdict.PASSED


def test_a_verdict_that_the_run_gave_itself_is_not_replaced(store: Store, tmp_path: Path) -> None:
    store.begin(samples.running())
    store.finish(samples.run(run_id=RUN, verdict=Verdict.FAILED))
    write_reports(samples.run(run_id=RUN, verdict=Verdict.PASSED), tmp_path)

    with pytest.raises(VerdictExistsError, match="already failed"):
        bring_in(store, tmp_path)


def test_a_run_under_way_is_not_imported(store: Store, tmp_path: Path) -> None:
    store.begin(samples.running())
    write_reports(samples.run(run_id=RUN), tmp_path)

    with pytest.raises(RunningError, match="is under way"):
        bring_in(store, tmp_path)


def test_a_local_run_is_not_imported(store: Store, tmp_path: Path) -> None:
    record = samples.run(run_id=RUN)
    local = record.model_copy(update={"request": record.request.model_copy(update={"local": True})})
    write_reports(local, tmp_path)

    with pytest.raises(UsageError, match="is local, on a device that nobody leased"):
        bring_in(store, tmp_path)
    assert store.list() == []


@pytest.mark.parametrize("left", [None, "{}", '{"events": [{"kind": "no such"}]}'])
def test_a_directory_without_a_run_is_one_line(store: Store, tmp_path: Path, left: str | None) -> None:
    if left is not None:
        write_reports(samples.run(run_id=RUN), tmp_path)
        (tmp_path / UNSTORED).write_text(left)

    with pytest.raises(UsageError, match=r"report\.json|cannot be read") as caught:
        bring_in(store, tmp_path)
    assert "\n" not in str(caught.value)


def test_reports_are_written_where_the_store_refuses_the_verdict_for_good(store: Store, tmp_path: Path) -> None:
    with writing(store) as writer:
        writer.begin(samples.running())
        store.interrupt(RUN, "interrupted: settled by somebody")

        with pytest.raises(VerdictExistsError):
            conclude(writer, tmp_path, patience_s=60)

    assert (tmp_path / "report.json").exists()


def test_a_second_run_of_one_id_is_refused_at_once(store: Store) -> None:
    store.begin(samples.running())
    with writing(store) as writer, pytest.raises(UsageError, match="in the store already"):
        writer.begin(samples.running())


def test_known_quarantines_hold_while_the_store_is_away(away: Away) -> None:
    platform = samples.run().platform
    away.observe([HealthEvent(DEVICE, platform, now(), EventKind.QUARANTINED, "smells of smoke")])
    with writing(away) as writer:
        before = dict(writer.health(platform))
        away.away = True

        assert writer.health(platform) == before
        with pytest.raises(StoreError):
            writer.health("another")


def test_a_real_lock_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with Store.open(f"sqlite:///{path}") as store, writing(store) as writer:
        writer.begin(samples.running())
        lock = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        lock.execute("BEGIN EXCLUSIVE")
        begun = time.monotonic()
        writer.save_trials(RUN, [samples.trial(DEVICE, 0)])
        writer.save_trials(RUN, [samples.trial(DEVICE, 1)])
        waited_s = time.monotonic() - begun
        lock.execute("COMMIT")
        lock.close()

        conclude(writer, tmp_path / "run", patience_s=60)

        assert waited_s < 5.0
        assert store.get(RUN).verdict is Verdict.PASSED


def test_a_restarted_database_costs_no_error(url: str) -> None:
    """Every connection of the pool is cut, as a restart does."""
    with Store.open(url) as store:
        store.begin(samples.running())
        if url.startswith("postgresql"):
            with Store.open(url) as killer, killer.engine.begin() as connection:
                others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                connection.exec_driver_sql(f"{others} AND datname = current_database()")

        store.save_trials(RUN, [samples.trial(DEVICE, 0)])

        assert len(store.get(RUN).trials) == 1


@pytest.mark.parametrize(("text", "seconds"), [("0", 0.0), ("90", 90.0), ("", 0)])
def test_the_patience_is_a_number(monkeypatch: pytest.MonkeyPatch, text: str, seconds: float) -> None:
    monkeypatch.setenv(run_writer.WAIT_VARIABLE, text)
    read: Callable[[], float] = run_writer.wait_s
    if text:
        assert read() == seconds
    else:
        with pytest.raises(UsageError, match="FARM_STORE_WAIT is ''"):
            read()


def test_a_run_under_way_gives_signs_of_life(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = threading.Event()
    monkeypatch.setattr(store, "hear", lambda run_id: heard.set() if run_id == RUN else None)
    writer = RunWriter(store, beat_s=0.05)
    writer.begin(samples.running())

    assert heard.wait(10)
    writer.close()


def test_a_devices_history_is_empty_while_the_store_is_away(away: Away) -> None:
    away.observe([HealthEvent(DEVICE, "a2a3", now(), EventKind.DEVICE_FAULT, "a hang")])
    with writing(away) as writer:
        there = writer.device_history("a2a3", DEVICE, 10)
        away.away = True

        assert [event.kind for event in there] == [EventKind.DEVICE_FAULT]
        assert writer.device_history("a2a3", DEVICE, 10) == []


def test_a_database_that_never_answers_ends_each_read_with_one_line(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped: it takes questions, and its connections stay open."""
    thawed = threading.Event()
    for name in ("health", "identify", "device_history"):
        monkeypatch.setattr(store, name, lambda *asked: thawed.wait(60))
    writer = RunWriter(store, read_s=0.1)

    for read in (lambda: writer.identify("a2a3", DEVICE, "S1"), lambda: writer.health("a2a3")):
        with pytest.raises(
            StoreError, match=r"could not be read: its database has not answered within 0\.1 s"
        ) as caught:
            read()
        assert caught.value.away
    assert writer.device_history("a2a3", DEVICE, 10) == []
    thawed.set()
    writer.close()
