"""Device health in the store's database: the log of events, what they add up to, and the devices ever seen.

A device's row and its log change in one transaction that holds the row's lock, so processes that observe the same
device at the same time are put in an order and nothing is lost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, and_, bindparam, func, insert, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from farm import timestamps
from farm.errors import InfrastructureError
from farm.model.audit import Actor, AuditAction
from farm.model.device_health import BY_PERSON, DeviceState, EventKind, Health, HealthEvent, after
from farm.store import audit_log, row_mapping
from farm.store.engine import transaction
from farm.store.row_mapping import DeviceSighting, LoggedEvent
from farm.store.tables import DEVICE, DEVICE_EVENT
from farm.timestamps import moment

# Machines that follow a time server differ by milliseconds; Kerberos refuses at five minutes, and so does this.
CLOCK_TOLERANCE = timedelta(minutes=5)

# The fault rate looks back so far: long enough for a handful of runs a day, short enough that a repair shows.
RATE_WINDOW = timedelta(days=7)
RATE_EVENTS = 200
LAST_RUNS = 3
_TRIALS = (EventKind.TRIAL_OK, EventKind.DEVICE_FAULT, EventKind.DEVICE_BROKEN)


class ClockSkewError(InfrastructureError):
    """An event, or what is kept of a device, is dated later than this machine's clock allows."""

    def __init__(self, device: str, at: str, now: str) -> None:
        self.device = device
        self.at = at
        super().__init__(
            f"device {device} has an event dated {at}, and it is {now} here; set the clock that is wrong, "
            f"or, where it is the event's, `farm devices release {device}`"
        )


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """What is known of one device."""

    seen: DeviceSighting
    health: Health
    last_runs: tuple[str, ...]  # newest first, at most `LAST_RUNS`
    trials: int  # that ended well or with a fault of the device, of the last `RATE_EVENTS` within `RATE_WINDOW`
    faults: int  # of `trials`

    @property
    def fault_rate(self) -> float | None:
        """Faults a trial, 0 to 1; None where no trial says anything."""
        return self.faults / self.trials if self.trials else None


def health(engine: Engine, platform: str) -> dict[str, Health]:
    """Every known device of `platform`, by id. Raises `ClockSkewError` where one is dated from the future."""
    with transaction(engine, "read") as connection:
        found = {
            str(row.id): row_mapping.health(row) for row in connection.execute(select(DEVICE).where(_of(platform)))
        }
    for device, kept in found.items():
        _require_past(device, kept.last_event_at)
    return found


def one(engine: Engine, platform: str, device: str) -> Health | None:
    """What is kept of one device, however it is dated; None where it was never seen."""
    with transaction(engine, "read") as connection:
        row = connection.execute(select(DEVICE).where(_of(platform), DEVICE.c.id == device)).first()
    return row_mapping.health(row) if row else None


def observe(engine: Engine, events: Sequence[HealthEvent]) -> None:
    """Fold `events` into their devices in their order, all or none. Durable on return. Raises `ClockSkewError`."""
    if not events:
        return
    for event in events:
        _require_past(event.device, event.at)
    by_device: dict[tuple[str, str], list[HealthEvent]] = defaultdict(list)
    for event in events:
        by_device[event.platform, event.device].append(row_mapping.storable(event))
    with transaction(engine, "written", write=True) as connection:
        _fold(connection, by_device)


def decide(engine: Engine, event: HealthEvent, by: Actor) -> None:
    """Take in what a person has decided about a device, and who it was. Durable on return. Raises `ClockSkewError`."""
    _require_past(event.device, event.at)
    stored = row_mapping.storable(event)
    action = AuditAction.QUARANTINED if event.kind is EventKind.QUARANTINED else AuditAction.RELEASED
    with transaction(engine, "written", write=True) as connection:
        _fold(connection, {(event.platform, event.device): [stored]})
        audit_log.note(connection, by, action, f"{event.platform}/{event.device}", stored.reason)


def see(engine: Engine, platform: str, devices: Iterable[Mapping[str, str]]) -> None:
    """Note devices as seen now: for each a mapping of `id`, `node`, `soc` and `card`, "" where that is not known."""
    with transaction(engine, "written", write=True) as connection:
        for device in sorted(devices, key=lambda told: told["id"]):
            known = {column: text for column, text in device.items() if text}
            upsert(connection, {**known, "platform": platform, "last_seen": timestamps.now()})


def upsert(connection: Connection, row: Mapping[str, str]) -> None:
    """Add a device, or change those columns of it that `row` names."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(DEVICE).values(dict(row))
    connection.execute(statement.on_conflict_do_update(index_elements=["platform", "id"], set_=dict(row)))


def history(engine: Engine, platform: str, device: str, limit: int) -> list[LoggedEvent]:
    """The last `limit` events of a device, newest first: what happened in the slot, and to its card elsewhere."""
    mine = (DEVICE.c.platform == platform, DEVICE.c.id == device)
    with transaction(engine, "read") as connection:
        identity = connection.execute(select(DEVICE.c.identity).where(*mine)).scalar()
        wanted = DEVICE_EVENT.c.device == device
        if identity:
            wanted = or_(wanted, DEVICE_EVENT.c.identity == identity)
        query = select(DEVICE_EVENT).where(DEVICE_EVENT.c.platform == platform, wanted)
        newest = query.order_by(DEVICE_EVENT.c.id.desc()).limit(limit)
        return [row_mapping.logged(row) for row in connection.execute(newest)]


def taken_out(connection: Connection, platform: str, run_id: str, since: str) -> dict[str, str]:
    """Devices of `platform` that the run took out of work, each with the reason; `since` is at most its start.

    In the caller's transaction. One that was quarantined before is not named again.
    """
    mine = (
        DEVICE_EVENT.c.platform == platform,
        DEVICE_EVENT.c.at >= since,
        DEVICE_EVENT.c.run_id == run_id,
        DEVICE_EVENT.c.state == DeviceState.QUARANTINED.value,
    )
    found: dict[str, str] = {}
    for row in connection.execute(select(DEVICE_EVENT).where(*mine).order_by(DEVICE_EVENT.c.id)):
        if row.device in found:
            continue
        earlier = (DEVICE_EVENT.c.platform == platform, DEVICE_EVENT.c.device == row.device, DEVICE_EVENT.c.id < row.id)
        before = select(DEVICE_EVENT.c.state).where(*earlier).order_by(DEVICE_EVENT.c.id.desc()).limit(1)
        if connection.execute(before).scalar() != DeviceState.QUARANTINED.value:
            found[row.device] = str(row.reason)
    return found


def reports(engine: Engine, platform: str, last_runs: bool = True) -> dict[str, DeviceReport]:
    """What is known of every device of `platform`, by id. Raises `ClockSkewError` as `health` does.

    Without `last_runs`, which reads the whole log, only the run that held a device last is named.
    """
    with transaction(engine, "read") as connection:
        devices = connection.execute(select(DEVICE).where(_of(platform)).order_by(DEVICE.c.id)).all()
        runs = _last_runs(connection, platform) if last_runs else defaultdict(list)
        tally = _tally(connection, platform)
    for row in devices:
        _require_past(row.id, row.last_event_at)
    return {
        str(row.id): DeviceReport(
            seen=row_mapping.sighting(row),
            health=row_mapping.health(row),
            last_runs=_runs_of(row, runs[str(row.id)]),
            trials=sum(tally[str(row.id)].values()),
            faults=sum(count for kind, count in tally[str(row.id)].items() if kind != EventKind.TRIAL_OK.value),
        )
        for row in devices
    }


def _fold(connection: Connection, by_device: Mapping[tuple[str, str], list[HealthEvent]]) -> None:
    """Four statements however many devices there are: a round of a large run reports hundreds."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    keys = sorted(by_device)  # everyone locks in one order: no deadlock
    new = [
        {"platform": platform, "id": device, "node": device.rpartition("/")[0], "last_seen": timestamps.now()}
        for platform, device in keys
    ]
    connection.execute(dialect.insert(DEVICE).on_conflict_do_nothing(), new)
    query = select(DEVICE).where(tuple_(DEVICE.c.platform, DEVICE.c.id).in_(keys))
    found = connection.execute(query.order_by(DEVICE.c.platform, DEVICE.c.id).with_for_update()).all()
    logged, changed = [], []
    for row in found:
        kept, events = row_mapping.health(row), by_device[row.platform, row.id]
        if not any(event.kind in BY_PERSON for event in events):  # a person may put a wrong record right
            _require_past(row.id, kept.last_event_at)
        for event in events:
            kept = after(kept, event)
            logged.append(row_mapping.of_event(event, kept.state, row.identity))
        changed.append({"its_platform": row.platform, "its_id": row.id, **row_mapping.of_health(kept)})
    connection.execute(insert(DEVICE_EVENT), logged)
    mine = and_(DEVICE.c.platform == bindparam("its_platform"), DEVICE.c.id == bindparam("its_id"))
    connection.execute(update(DEVICE).where(mine), changed)


def _last_runs(connection: Connection, platform: str) -> dict[str, list[str]]:
    """Runs with an event on each device, newest first."""
    newest = (
        select(DEVICE_EVENT.c.device, DEVICE_EVENT.c.run_id, func.max(DEVICE_EVENT.c.id).label("last"))
        .where(DEVICE_EVENT.c.platform == platform, DEVICE_EVENT.c.run_id != "")
        .group_by(DEVICE_EVENT.c.device, DEVICE_EVENT.c.run_id)
        .subquery()
    )
    runs: dict[str, list[str]] = defaultdict(list)
    for row in connection.execute(_newest(newest, "last", LAST_RUNS)):
        runs[row.device].append(row.run_id)
    return runs


def _runs_of(row: Row[Any], logged: list[str]) -> tuple[str, ...]:
    """The run that held the device last goes first: it may not have an event yet."""
    last = [row.last_run] if row.last_run and row.last_run not in logged else []
    return tuple([*last, *logged][:LAST_RUNS])


def _tally(connection: Connection, platform: str) -> dict[str, dict[str, int]]:
    """How many of the newest trials of each device ended in which kind of event."""
    since = timestamps.as_text(timestamps.utc_now() - RATE_WINDOW)
    trials = (
        select(DEVICE_EVENT.c.device, DEVICE_EVENT.c.kind, DEVICE_EVENT.c.id.label("last"))
        .where(DEVICE_EVENT.c.platform == platform, DEVICE_EVENT.c.kind.in_([kind.value for kind in _TRIALS]))
        .where(DEVICE_EVENT.c.at >= since)
        .subquery()
    )
    recent = _newest(trials, "last", RATE_EVENTS).subquery()
    query = select(recent.c.device, recent.c.kind, func.count().label("count")).group_by(recent.c.device, recent.c.kind)
    tally: dict[str, dict[str, int]] = defaultdict(dict)
    for row in connection.execute(query):
        tally[row.device][row.kind] = row._mapping["count"]
    return tally


def _newest(table: Any, order: str, limit: int) -> Select[Any]:
    """The rows of `table` among the `limit` newest of their device by column `order`, newest first."""
    number = func.row_number().over(partition_by=table.c.device, order_by=table.c[order].desc())
    numbered = select(table, number.label("number")).subquery()
    return select(numbered).where(numbered.c.number <= limit).order_by(numbered.c.number)


def _of(platform: str) -> Any:
    return DEVICE.c.platform == platform


def dated_ahead(at: str) -> bool:
    """Whether `at` is later than this machine's clock can be wrong; "" is not."""
    return bool(at) and moment(at) > moment(timestamps.now()) + CLOCK_TOLERANCE


def _require_past(device: str, at: str) -> None:
    if dated_ahead(at):
        raise ClockSkewError(device, at, timestamps.now())
