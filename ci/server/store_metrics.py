"""Metrics that are counted in the store at each scrape: they survive restarts, and every process exports the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import (
    TIMESTAMP,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Float,
    Table,
    and_,
    case,
    cast,
    extract,
    func,
    select,
)

from ci.queue import alarms
from ci.server import kernel_metrics
from ci.store.states import DeliveryState, JobKind, JobState, OutboxState
from ci.store.tables import DELIVERY, JOB, OUTBOX
from farm import timestamps
from farm.model.device_health import DeviceState
from farm.model.run import Verdict
from farm.store.engine import transaction
from farm.store.tables import DEVICE, RUN, TRIAL
from farm.timestamps import moment

_WINDOW = timedelta(days=1)  # trials are many and their rows wide: all of them would be read at every scrape
_BUCKETS_S = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)  # of jobs: seconds to hours


class StoreMetrics(Collector):
    """Runs, the queue, jobs, devices, kernels and trials."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def describe(self) -> list[Metric]:
        """Return no metrics: registering must not query the store."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Return what the store has now. Raises `StoreError`."""
        with transaction(self._engine, "read") as connection:
            yield from (
                *_runs(connection),
                *_queue(connection),
                *_jobs(connection),
                *_job_times(connection),
                *_devices(connection),
                *kernel_metrics.medians(connection),
                *_trials(connection),
            )


def _runs(connection: Connection) -> Iterator[Metric]:
    counted = _counts(connection, RUN, RUN.c.verdict)
    ended = CounterMetricFamily("farm_runs", "Runs that have their verdict.", labels=["verdict"])
    for verdict in Verdict:
        ended.add_metric([verdict.value], counted.get(verdict.value, 0))
    yield ended
    yield GaugeMetricFamily("farm_runs_running", "Runs without a verdict.", value=counted.get(None, 0))


def _queue(connection: Connection) -> Iterator[Metric]:
    for name, text, table, states in (
        ("farm_jobs", "Jobs in the queue and those that are over.", JOB, JobState),
        ("farm_deliveries", "Webhook deliveries.", DELIVERY, DeliveryState),
        ("farm_outbox", "Messages to forges and channels.", OUTBOX, OutboxState),
    ):
        counted = _counts(connection, table, table.c.state)
        family = GaugeMetricFamily(name, f"{text} By state.", labels=["state"])
        for state in states:
            family.add_metric([state.value], counted.get(state.value, 0))
        yield family
    for name, text, table, column, waiting in (
        ("farm_queue_age_seconds", "Age of the oldest queued job", JOB, JOB.c.created_at, JobState.QUEUED),
        ("farm_outbox_age_seconds", "Age of the oldest message", OUTBOX, OUTBOX.c.created_at, OutboxState.PENDING),
    ):
        oldest = connection.execute(select(func.min(column)).where(table.c.state == waiting.value)).scalar()
        yield GaugeMetricFamily(name, f"{text}, 0 where none waits.", value=_age_s(oldest))


def _jobs(connection: Connection) -> Iterator[Metric]:
    done = _counts(connection, JOB, JOB.c.verdict)
    family = CounterMetricFamily("farm_job_verdicts", "Jobs that have their verdict.", labels=["verdict"])
    for verdict in Verdict:
        family.add_metric([verdict.value], done.get(verdict.value, 0))
    yield family
    row = alarms.errored_in_a_row(connection)
    yield GaugeMetricFamily("farm_jobs_errored_in_a_row", "Jobs that ended errored since the last verdict.", value=row)
    again = select(func.coalesce(func.sum(JOB.c.attempts - 1), 0)).where(JOB.c.attempts > 1)
    retried = int(connection.execute(again).scalar() or 0)
    yield CounterMetricFamily("farm_job_retries", "Times that a job was claimed once more.", value=retried)


def _job_times(connection: Connection) -> Iterator[Metric]:
    """How long jobs waited and ran, of those that are over: a job may still be held, and a counter never goes back.

    A wait for an approval is a person's and not the queue's, so it is left out.
    """
    began = and_(JOB.c.started_at.is_not(None), JOB.c.finished_at.is_not(None))
    approved = and_(JOB.c.approved_by != "", JOB.c.kind == JobKind.PULL_REQUEST.value)
    waited = _seconds(connection, JOB.c.created_at, JOB.c.started_at)
    text = "Time in the queue until a job was first claimed."
    yield _histogram(connection, "farm_job_wait_seconds", text, waited, JOB.c.priority, and_(began, ~approved))
    took = _seconds(connection, JOB.c.started_at, JOB.c.finished_at)
    text = "Time from a job's first claim to its verdict, restarts included."
    yield _histogram(connection, "farm_job_seconds", text, took, JOB.c.verdict, and_(began, JOB.c.verdict != ""))


def _histogram(
    connection: Connection,
    name: str,
    text: str,
    seconds: ColumnElement[float],
    by: Column[str],
    of: ColumnElement[bool],
) -> Metric:
    """A histogram over jobs, by one of their columns, in one pass."""
    within = [func.sum(case((seconds <= bound, 1), else_=0)) for bound in _BUCKETS_S]
    query = select(by, func.count(), func.sum(seconds), *within).where(of).group_by(by).order_by(by)
    family = HistogramMetricFamily(name, text, labels=[by.name])
    for value, count, total, *counts in connection.execute(query):
        buckets = [(str(float(bound)), int(number)) for bound, number in zip(_BUCKETS_S, counts, strict=True)]
        family.add_metric([value], [*buckets, ("+Inf", int(count))], float(total))
    return family


def _seconds(connection: Connection, begin: Column[str], end: Column[str]) -> ColumnElement[float]:
    """The time between two moments of the store, at least 0: a clock may have been set back."""
    if connection.dialect.name == "postgresql":
        passed = extract("epoch", cast(end, TIMESTAMP(timezone=True)) - cast(begin, TIMESTAMP(timezone=True)))
        return func.greatest(cast(passed, Float), 0.0)
    return func.max((func.julianday(end) - func.julianday(begin)) * 86400.0, 0.0)


def _devices(connection: Connection) -> Iterator[Metric]:
    family = GaugeMetricFamily("farm_devices", "Devices that were ever seen.", labels=["platform", "state"])
    query = select(DEVICE.c.platform, DEVICE.c.state, func.count()).group_by(DEVICE.c.platform, DEVICE.c.state)
    counted = {(str(platform), str(state)): int(number) for platform, state, number in connection.execute(query)}
    for platform in sorted({platform for platform, _ in counted}):
        for state in DeviceState:
            family.add_metric([platform, state.value], counted.get((platform, state.value), 0))
    yield family
    usable = GaugeMetricFamily("farm_devices_usable", "Known devices that may be given work.", labels=["platform"])
    for platform, number in sorted(alarms.usable_devices(connection).items()):
        usable.add_metric([platform], number)
    yield usable


def _trials(connection: Connection) -> Iterator[Metric]:
    since = timestamps.as_text(timestamps.utc_now() - _WINDOW)
    query = (
        select(RUN.c.platform, TRIAL.c.status, func.count(), func.sum(_host_s(connection)))
        .join(RUN, RUN.c.id == TRIAL.c.run_id)
        .where(RUN.c.started_at >= since)
        .group_by(RUN.c.platform, TRIAL.c.status)
    )
    labels = ["platform", "status"]
    number = GaugeMetricFamily("farm_trials_day", "Trials of the runs of the last 24 hours.", labels=labels)
    seconds = GaugeMetricFamily("farm_trial_seconds_day", "Host seconds those trials took.", labels=labels)
    for platform, status, count, host_s in connection.execute(query):
        number.add_metric([platform, status], count)
        seconds.add_metric([platform, status], host_s or 0.0)
    yield number
    yield seconds


def _host_s(connection: Connection) -> ColumnElement[float]:
    """How long a trial took, out of its record."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import JSON

        return cast(cast(TRIAL.c.record, JSON)["host_s"].astext, Float)
    return func.json_extract(TRIAL.c.record, "$.host_s")


def _counts(connection: Connection, table: Table, by: ColumnElement[str]) -> dict[str | None, int]:
    return {value: int(number) for value, number in connection.execute(select(by, func.count()).group_by(by))}


def _age_s(at: str | None) -> float:
    return max(0.0, (timestamps.utc_now() - moment(at)).total_seconds()) if at else 0.0
