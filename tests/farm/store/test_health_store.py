"""Device health between runs, on SQLite always and on PostgreSQL where one is given."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import reduce
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

import farm.store.migrations
from farm.model.device_health import DeviceState, EventKind, Health, HealthBook, HealthEvent, after
from farm.store.health_store import CLOCK_TOLERANCE, RATE_EVENTS, ClockSkewError
from farm.store.run_store import Store
from tests.farm import samples
from tests.processes import forking_context

DEVICE = "10.0.0.1/0"
PLATFORM = "a2a3sim"
OK, FAULT, CLEAN = EventKind.TRIAL_OK, EventKind.DEVICE_FAULT, EventKind.CANARY_CLEAN


def ago(**since: float) -> str:
    return (datetime.now(timezone.utc) - timedelta(**since)).isoformat(timespec="milliseconds")


def event(
    kind: EventKind, device: str = DEVICE, at: str = "", run_id: str = "", platform: str = PLATFORM
) -> HealthEvent:
    return HealthEvent(device, platform, at or ago(), kind, f"because of {kind.value}", run_id)


def test_a_store_is_a_health_book(store: Store) -> None:
    book: HealthBook = store

    book.observe([event(FAULT), event(FAULT)])

    assert book.health(PLATFORM)[DEVICE].state is DeviceState.QUARANTINED


def test_a_device_nobody_has_seen_is_not_known(store: Store) -> None:
    assert store.health(PLATFORM) == {}
    assert store.device_reports(PLATFORM) == {}
    assert store.device_history(PLATFORM, DEVICE) == []


def test_health_survives_a_restart(store: Store, url: str) -> None:
    store.observe([event(FAULT), event(EventKind.VOTE_LOST)])
    before = store.health(PLATFORM)

    with Store.open(url) as again:
        assert again.health(PLATFORM) == before


def test_two_platforms_of_one_node_do_not_share_a_device(store: Store) -> None:
    store.observe([event(EventKind.VOTE_LOST, platform="a2a3"), event(OK)])

    assert store.health("a2a3")[DEVICE].state is DeviceState.QUARANTINED
    assert store.health(PLATFORM)[DEVICE].state is DeviceState.HEALTHY
    store.begin(samples.running(devices=[samples.device(0)]))
    assert {(seen.platform, seen.id, seen.last_run) for seen in store.devices()} == {
        ("a2a3", DEVICE, ""),
        (PLATFORM, DEVICE, samples.running().run_id),
    }


def test_the_row_is_what_the_log_adds_up_to(store: Store) -> None:
    happened = [event(kind, at=ago(minutes=30 - number)) for number, kind in enumerate([OK, FAULT, CLEAN, OK, FAULT])]
    store.observe(happened[:2])
    store.observe(happened[2:])

    log = store.device_history(PLATFORM, DEVICE)

    assert [(each.at, each.kind, each.reason) for each in reversed(log)] == [
        (each.at, each.kind, each.reason) for each in happened
    ]
    assert log[0].state is DeviceState.SUSPECT
    assert store.health(PLATFORM)[DEVICE] == reduce(after, happened, Health())
    assert len(store.device_history(PLATFORM, DEVICE, limit=2)) == 2


def test_a_run_that_holds_a_device_leaves_its_health_alone(store: Store) -> None:
    store.observe([event(EventKind.VOTE_LOST)])
    before = store.health(PLATFORM)

    store.begin(samples.running(devices=[samples.device(0)]))

    assert store.health(PLATFORM) == before
    assert store.device_reports(PLATFORM)[DEVICE].seen.soc == "Ascend910B1-sim"


def test_a_sighting_without_chip_or_card_keeps_what_was_known(store: Store) -> None:
    store.see(PLATFORM, [{"id": DEVICE, "node": "10.0.0.1", "soc": "Ascend910B1", "card": "0"}])

    store.see(PLATFORM, [{"id": DEVICE, "node": "10.0.0.1", "soc": "", "card": ""}])

    (seen,) = store.devices()
    assert (seen.soc, seen.card, seen.last_run) == ("Ascend910B1", "0", "")


def test_an_event_from_the_future_changes_nothing(store: Store) -> None:
    store.observe([event(FAULT)])
    before, log = store.health(PLATFORM), store.device_history(PLATFORM, DEVICE)
    ahead = CLOCK_TOLERANCE.total_seconds() + 60

    with pytest.raises(ClockSkewError, match="set the clock that is wrong") as caught:
        store.observe([event(OK), event(FAULT), event(OK, "10.0.0.1/1", at=ago(seconds=-ahead))])

    assert "\n" not in str(caught.value)
    assert store.health(PLATFORM) == before
    assert store.device_history(PLATFORM, DEVICE) == log
    store.observe([event(OK, at=ago(seconds=-CLOCK_TOLERANCE.total_seconds() / 2))])


def test_a_record_from_the_future_is_refused_until_a_person_releases_the_device(store: Store, url: str) -> None:
    store.observe([event(FAULT)])
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE device SET last_event_at = :at"), {"at": ago(days=-400)})
    engine.dispose()

    for read in (store.health, store.device_reports):
        with pytest.raises(ClockSkewError, match=f"`farm devices release {DEVICE}`"):
            read(PLATFORM)
    with pytest.raises(ClockSkewError):
        store.observe([event(FAULT)])
    assert len(store.device_history(PLATFORM, DEVICE)) == 1

    store.observe([event(EventKind.RELEASED)])

    assert store.health(PLATFORM)[DEVICE].state is DeviceState.SUSPECT


def test_times_of_other_zones_are_kept_as_utc(store: Store) -> None:
    store.observe([event(FAULT, at="2026-01-01T10:00:00+02:00")])

    assert store.device_history(PLATFORM, DEVICE)[0].at == "2026-01-01T08:00:00.000+00:00"


def test_text_a_database_cannot_hold_is_no_obstacle(store: Store) -> None:
    store.observe([HealthEvent(DEVICE, PLATFORM, ago(), EventKind.VOTE_LOST, "a\0b'; DROP TABLE device; --")])

    assert store.health(PLATFORM)[DEVICE].why == "a\N{REPLACEMENT CHARACTER}b'; DROP TABLE device; --"


def test_the_fault_rate_is_of_recent_trials_only(store: Store) -> None:
    store.observe([event(FAULT, at=ago(days=8)), event(FAULT), event(OK), event(OK), event(OK), event(CLEAN)])
    store.observe([event(CLEAN, "10.0.0.1/1")])

    reports = store.device_reports(PLATFORM)

    assert (reports[DEVICE].faults, reports[DEVICE].trials, reports[DEVICE].fault_rate) == (1, 4, 0.25)
    assert reports["10.0.0.1/1"].fault_rate is None
    store.observe([event(OK) for _ in range(RATE_EVENTS)])
    assert store.device_reports(PLATFORM)[DEVICE].fault_rate == 0.0


def test_the_last_runs_are_told_newest_first(store: Store) -> None:
    store.observe([event(OK, run_id=run) for run in ("one", "two", "three", "four", "two")])
    store.observe([event(OK, "10.0.0.1/1", run_id="other")])

    assert store.device_reports(PLATFORM)[DEVICE].last_runs == ("two", "four", "three")

    store.begin(samples.running("five", devices=[samples.device(0)]))

    assert store.device_reports(PLATFORM)[DEVICE].last_runs == ("five", "two", "four")


ROUNDS = 15


def observe_often(url: str, number: int, start: object) -> None:
    """In a process of its own: a fault and a good trial on a shared device, and one event on a device of its own."""
    with Store.open(url) as store:
        start.wait()  # type: ignore[attr-defined]
        for _ in range(ROUNDS):
            pair = [event(FAULT, run_id=f"run-{number}"), event(OK, "10.0.0.2/0")]
            store.observe(pair if number % 2 else pair[::-1])
            store.observe([event(OK, run_id=f"run-{number}")])


def test_processes_that_observe_one_device_at_once_lose_nothing(store: Store, url: str) -> None:
    context = forking_context()
    start = context.Barrier(4)
    writers = [context.Process(target=observe_often, args=(url, number, start)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)

    assert [writer.exitcode for writer in writers] == [0] * 4
    log = store.device_history(PLATFORM, DEVICE, limit=10_000)
    assert len(log) == 4 * ROUNDS * 2
    assert len(store.device_history(PLATFORM, "10.0.0.2/0", limit=10_000)) == 4 * ROUNDS
    health = Health()
    for each in reversed(log):
        health = after(health, HealthEvent(DEVICE, PLATFORM, each.at, each.kind, each.reason, each.run_id))
        assert health.state is each.state, "each event was folded into what the one before had left"
    assert store.health(PLATFORM)[DEVICE] == health


def test_devices_of_the_first_schema_are_kept(url: str) -> None:
    Store.open(url).close()
    engine = create_engine(url)
    config = Config()
    config.set_main_option("script_location", str(Path(farm.store.migrations.__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        row = "'10.0.0.1/0', '10.0.0.1', 'Ascend910B1', 'a2a3sim', '2026-01-01T08:00:00.000+00:00', 'run-1'"
        connection.execute(text(f"INSERT INTO device (id, node, soc, platform, last_seen, last_run) VALUES ({row})"))

    with Store.open(url) as store:
        (seen,) = store.devices()
        health = store.health("a2a3sim")
        store.observe([event(FAULT), event(FAULT, platform="a2a3")])

    assert (seen.id, seen.soc, seen.card, seen.last_run) == (DEVICE, "Ascend910B1", "", "run-1")
    assert health == {DEVICE: Health()}
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        assert connection.execute(text("SELECT id, platform FROM device")).all() == [(DEVICE, "a2a3")]
    engine.dispose()
