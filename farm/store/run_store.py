"""Where runs outlive the process that made them: one row per run, trial and device, in SQLite or PostgreSQL.

A run is durable before `begin` returns and trials before `save_trials` returns, so a killed process keeps what was
measured. A run gets its verdict once: from `finish`, or, where its process died without one, from the next reader, who
finds the owner gone and settles the run as errored.
"""

from __future__ import annotations

import builtins
import difflib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, insert, select, update

from farm import timestamps
from farm.errors import InfrastructureError, UnknownRunError, UsageError
from farm.model.audit import Actor
from farm.model.device_health import Health, HealthEvent
from farm.model.run import RunRecord, Verdict
from farm.model.serialization import ReportError
from farm.process import identity
from farm.store import card_identity, health_store, row_mapping
from farm.store.engine import Warn, clock, open_engine, transaction
from farm.store.health_store import DeviceReport
from farm.store.row_mapping import DeviceSighting, HistoryPoint, LoggedEvent, RunSummary
from farm.store.tables import DEVICE, RUN, TRIAL
from jobs.records import TrialRecord

# A run gives a sign of life every 15 s. A database that is away for minutes takes those of all its runs with it.
SILENT_S = 600.0
_ROWS = 200  # trials that are written at once
_NEWEST = 200  # runs among which a mistyped id is looked for


class VerdictExistsError(InfrastructureError):
    """The run has its verdict already; it gets no second one."""

    def __init__(self, run_id: str, verdict: str) -> None:
        self.run_id = run_id
        self.verdict = verdict
        super().__init__(f"run {run_id} is already {verdict}; a verdict is never changed")


class RunningError(UsageError):
    """The run is still under way."""

    def __init__(self, run_id: str, owner: identity.ProcessIdentity) -> None:
        self.run_id = run_id
        self.owner = owner
        super().__init__(f"run {run_id} is under way: process {owner.pid} on {owner.host}; end that process first")


class RunExistsError(UsageError):
    """A run of that id is in the store already."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(f"run '{run_id}' is in the store already; choose another id")


class AmbiguousRunError(UsageError):
    """More than one run begins with what was typed."""

    def __init__(self, prefix: str, found: builtins.list[str]) -> None:
        self.prefix = prefix
        self.found = found
        super().__init__(f"'{prefix}' begins more than one run: {', '.join(found)}; type more of it")


class Store:
    """All access to the database. Methods may be called from several processes at once."""

    def __init__(self, engine: Engine, warn: Warn | None = None) -> None:
        self._engine = engine
        self._warn = warn or _to_stderr
        self._told: set[str] = set()

    @classmethod
    def open(cls, url: str, warn: Warn | None = None) -> Store:
        """The store at SQLAlchemy `url`, made and migrated as needed; `warn` gets one line on a damaged file.

        Without `warn` that line goes to stderr, as those on unreadable runs do. Raises `UsageError` for a bad URL,
        `StoreError` for a refusal.
        """
        return cls(open_engine(url, warn or _to_stderr), warn)

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Writing

    def begin(self, record: RunRecord) -> None:
        """Add a run, owned by the calling process. Durable on return. Raises `RunExistsError`."""
        with self._write() as connection:
            if connection.execute(select(RUN.c.id).where(RUN.c.id == record.run_id)).first():
                raise RunExistsError(record.run_id)
            _insert(connection, record)
            _see(connection, record)
            _add_trials(connection, record.run_id, record.trials)

    def update(self, record: RunRecord) -> None:
        """Replace what is known of a running run (devices, builds, …) but not its trials."""
        with self._write() as connection:
            _refuse_finished(connection, record.run_id)
            connection.execute(update(RUN).where(RUN.c.id == record.run_id).values(**row_mapping.of_run(record)))
            _see(connection, record)

    def save_trials(self, run_id: str, trials: builtins.list[TrialRecord]) -> None:
        """Add trials to a running run, all or none. Durable on return."""
        with self._write() as connection:
            _refuse_finished(connection, run_id)
            _add_trials(connection, run_id, trials)

    def finish(self, record: RunRecord) -> None:
        """Give a run its verdict; the record's trials replace those saved on the way.

        Raises `VerdictExistsError` where it has one, `UnknownRunError` where it was never begun.
        """
        if record.verdict is None:
            raise ValueError(f"run {record.run_id} cannot finish without a verdict")
        with self._write() as connection:
            _refuse_finished(connection, record.run_id)
            connection.execute(update(RUN).where(RUN.c.id == record.run_id).values(**row_mapping.of_run(record)))
            connection.execute(delete(TRIAL).where(TRIAL.c.run_id == record.run_id))
            _add_trials(connection, record.run_id, record.trials)
            _see(connection, record)

    def hear(self, run_id: str) -> None:
        """Note that a run that is under way goes on. Does nothing where it has a verdict."""
        with self._write() as connection:
            mine = (RUN.c.id == run_id, RUN.c.verdict.is_(None))
            connection.execute(update(RUN).where(*mine).values(heard=clock(connection)))

    def interrupt(self, run_id: str, reason: str, heard: float | None = None) -> bool:
        """Settle a run whose process is known to be dead as errored.

        Returns whether it did; not where the run has a verdict, or, with `heard`, has given a later sign of life.
        """
        with self._write() as connection:
            values = {"verdict": Verdict.ERRORED.value, "reason": reason, "finished_at": timestamps.now()}
            mine = [RUN.c.id == run_id, RUN.c.verdict.is_(None)]
            if heard is not None:
                mine.append(RUN.c.heard == heard)
            return bool(connection.execute(update(RUN).where(*mine).values(values)).rowcount)

    def take_in(self, record: RunRecord) -> bool:
        """Add a finished run that was made while this store was away; False where it is here already.

        Of a run that a reader has settled only because it gave no sign of life, `record` is the verdict. Raises
        `RunningError`, and `VerdictExistsError` where the run itself has given another verdict.
        """
        self.settle()
        with self._write() as connection:
            row = connection.execute(select(RUN).where(RUN.c.id == record.run_id).with_for_update()).first()
            if row is None:
                _insert(connection, record)
            else:
                if row.verdict is None:
                    raise RunningError(record.run_id, identity.ProcessIdentity.load(row.owner))
                given = row_mapping.own_verdict(row)
                if given is not None and given is not record.verdict:
                    raise VerdictExistsError(record.run_id, given.value)
                if given is not None:
                    return False
                connection.execute(update(RUN).where(RUN.c.id == record.run_id).values(**row_mapping.of_run(record)))
                connection.execute(delete(TRIAL).where(TRIAL.c.run_id == record.run_id))
            _add_trials(connection, record.run_id, record.trials)
            _see(connection, record)
        return True

    # Reading

    def get(self, run_id: str) -> RunRecord:
        """The run whose id is, or alone begins with, `run_id`. Raises `UnknownRunError`, `AmbiguousRunError`."""
        self.settle()
        with self._read() as connection:
            full = resolve(connection, run_id)
            row = connection.execute(select(RUN).where(RUN.c.id == full)).one()
            trials = connection.execute(select(TRIAL.c.record).where(TRIAL.c.run_id == full).order_by(TRIAL.c.id))
            return row_mapping.record(row, [row_mapping.trial(text) for text in trials.scalars()])

    def outline(self, run_id: str) -> RunRecord:
        """The run of exactly that id without its trials, which are most of it. Raises `UnknownRunError`."""
        self.settle()
        with self._read() as connection:
            row = connection.execute(select(RUN).where(RUN.c.id == run_id)).first()
        if row is None:
            raise UnknownRunError(run_id)
        return row_mapping.record(row, [])

    def latest(self) -> RunRecord:
        """The run that was started last. Raises `UnknownRunError` in an empty store."""
        with self._read() as connection:
            newest = select(RUN.c.id).order_by(RUN.c.started_at.desc(), RUN.c.id.desc()).limit(1)
            run_id = connection.execute(newest).scalar()
        if run_id is None:
            raise UnknownRunError("latest")
        return self.get(run_id)

    def list(
        self, limit: int = 20, kernel: str | None = None, verdict: Verdict | None = None, platform: str | None = None
    ) -> list[RunSummary]:
        """The newest `limit` runs first, of one kernel, one verdict and one platform where given."""
        self.settle()
        query = select(RUN).order_by(RUN.c.started_at.desc(), RUN.c.id.desc()).limit(limit)
        if kernel is not None:
            query = query.where(RUN.c.kernel == kernel)
        if platform is not None:
            query = query.where(RUN.c.platform == platform)
        if verdict is not None:
            query = query.where(RUN.c.verdict == verdict.value)
        with self._read() as connection:
            return [row_mapping.summary(record) for record in self._readable(connection.execute(query))]

    def history(self, kernel: str, case: str, platform: str, limit: int = 200) -> builtins.list[HistoryPoint]:
        """Medians of one case on one platform, oldest first, from the newest `limit` runs that have a verdict."""
        self.settle()
        query = (
            select(RUN)
            .where(RUN.c.kernel == kernel, RUN.c.platform == platform, RUN.c.verdict.is_not(None))
            .order_by(RUN.c.started_at.desc(), RUN.c.id.desc())
            .limit(limit)
        )
        with self._read() as connection:
            records = self._readable(connection.execute(query))
        return [
            HistoryPoint(record.run_id, record.started_at, record.commit, record.verdict, median, record.toolchain)
            for record in reversed(records)
            for median in [record.median_us.get(case)]
            if median is not None and median.overall is not None and record.verdict is not None
        ]

    def settle(self) -> None:
        """Give each run without a verdict whose owner is gone its one verdict; what reads runs here does it first.

        An owner that cannot be seen from here, on another host or in another container, is gone once it has given no
        sign of life for `SILENT_S`.
        """
        columns = (RUN.c.id, RUN.c.owner, RUN.c.heard)
        with self._read() as connection:
            running = connection.execute(select(*columns).where(RUN.c.verdict.is_(None))).all()
            present = clock(connection) if running else 0.0
        for run_id, text, heard in running:
            owner = identity.ProcessIdentity.load(text)
            if owner.gone():
                self.interrupt(run_id, f"interrupted: process {owner.pid} on {owner.host} ended without a verdict")
            elif heard is not None and present - heard > SILENT_S and not owner.visible():
                silent = f"gave no sign of life for {(present - heard) / 60:.0f} min"
                self.interrupt(run_id, f"interrupted: process {owner.pid} on {owner.host} {silent}", heard)

    @property
    def engine(self) -> Engine:
        """The database, for queries that are modules of their own."""
        return self._engine

    # Devices; see `farm.store.health_store`. With `health`, `identify` and `observe` a store is a `HealthBook`.

    def devices(self) -> builtins.list[DeviceSighting]:
        """Every device that was ever seen, by id."""
        with self._read() as connection:
            return [row_mapping.sighting(row) for row in connection.execute(select(DEVICE).order_by(DEVICE.c.id))]

    def see(self, platform: str, devices: Iterable[Mapping[str, str]]) -> None:
        """Note devices as seen now: for each a mapping of `id`, `node`, `soc` and `card`, "" where not known."""
        health_store.see(self._engine, platform, devices)

    def health(self, platform: str) -> dict[str, Health]:
        """How fit each known device of `platform` is, by id. Raises `ClockSkewError`."""
        return health_store.health(self._engine, platform)

    def identify(self, platform: str, device: str, identity: str) -> Health:
        """Note which card is in a slot; return how fit that card is, wherever it was before. Durable on return."""
        return card_identity.identify(self._engine, platform, device, identity)

    def device_health(self, platform: str, device: str) -> Health | None:
        """How fit one device is, however its events are dated; None where it was never seen."""
        return health_store.one(self._engine, platform, device)

    def observe(self, events: Sequence[HealthEvent]) -> None:
        """Take in what happened on devices, all of it or nothing. Durable on return. Raises `ClockSkewError`."""
        health_store.observe(self._engine, events)

    def decide(self, event: HealthEvent, by: Actor) -> None:
        """Take in what a person has decided about a device, and who it was. Raises `ClockSkewError`."""
        health_store.decide(self._engine, event, by)

    def device_history(self, platform: str, device: str, limit: int = 50) -> builtins.list[LoggedEvent]:
        """The last `limit` events of one device, newest first."""
        return health_store.history(self._engine, platform, device, limit)

    def device_reports(self, platform: str, last_runs: bool = True) -> dict[str, DeviceReport]:
        """What is known of each device of `platform`, by id. Raises `ClockSkewError`."""
        return health_store.reports(self._engine, platform, last_runs)

    # Inside

    def _readable(self, found: Iterable[Row[Any]]) -> builtins.list[RunRecord]:
        """The records of many runs; those that cannot be read cost one line, not the others.

        They may be of another major version, written by a newer farm into the same database.
        """
        read, refused = [], []
        for row in found:
            try:
                read.append(row_mapping.record(row, []))
            except ReportError as error:
                refused.append(str(error))
        if refused and refused[0] not in self._told:
            self._told.add(refused[0])
            self._warn(f"runs left out, because they cannot be read: {len(refused)}; the first: {refused[0]}")
        return read

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with transaction(self._engine, "written", write=True) as connection:
            yield connection

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with transaction(self._engine, "read") as connection:
            yield connection


def _insert(connection: Connection, record: RunRecord) -> None:
    told = {"id": record.run_id, "owner": identity.current().dump(), "heard": clock(connection)}
    connection.execute(insert(RUN).values({**told, **row_mapping.of_run(record)}))


def _to_stderr(line: str) -> None:
    print(f"farm: {line}", file=sys.stderr)


def _see(connection: Connection, record: RunRecord) -> None:
    """Note every device of the run as seen now."""
    for held in sorted(record.devices, key=lambda device: device.id):  # everyone locks in one order: no deadlock
        health_store.upsert(connection, row_mapping.of_device(held, record.run_id))


def _add_trials(connection: Connection, run_id: str, trials: list[TrialRecord]) -> None:
    for first in range(0, len(trials), _ROWS):  # the rows of thousands of trials are never held together
        rows = [row_mapping.of_trial(run_id, trial) for trial in trials[first : first + _ROWS]]
        connection.execute(insert(TRIAL), rows)


def _refuse_finished(connection: Connection, run_id: str) -> None:
    """Lock the run's row; raise where it is unknown or has its verdict."""
    row = connection.execute(select(RUN.c.verdict).where(RUN.c.id == run_id).with_for_update()).first()
    if row is None:
        raise UnknownRunError(run_id)
    if row.verdict is not None:
        raise VerdictExistsError(run_id, row.verdict)


def resolve(connection: Connection, prefix: str) -> str:
    """The full id of the run that `prefix` is or alone begins. Raises `UnknownRunError`, `AmbiguousRunError`."""
    if connection.execute(select(RUN.c.id).where(RUN.c.id == prefix)).first():  # by its key, without a scan
        return prefix
    query = select(RUN.c.id).where(RUN.c.id.startswith(prefix, autoescape=True)).order_by(RUN.c.id)
    found = [str(run_id) for run_id in connection.execute(query).scalars() if run_id.startswith(prefix)]
    if not prefix or not found:
        raise UnknownRunError(prefix, _nearest(connection, prefix))
    if len(found) > 1:
        raise AmbiguousRunError(prefix, found[:5])
    return found[0]


def _nearest(connection: Connection, typed: str) -> str:
    """The newest run whose id is, or begins with, nearly what was typed; "" where none does."""
    newest = select(RUN.c.id).order_by(RUN.c.started_at.desc(), RUN.c.id.desc()).limit(_NEWEST)
    by_beginning: dict[str, str] = {}
    for run_id in connection.execute(newest).scalars():
        by_beginning.setdefault(str(run_id)[: max(len(typed), 1)], str(run_id))
    near = difflib.get_close_matches(typed, by_beginning, n=1, cutoff=0.8)
    return by_beginning[near[0]] if near else ""
