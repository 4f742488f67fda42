"""`/metrics` for Prometheus.

All but the latency is counted in the store when it is asked for, so it survives restarts and is the same from every
process.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import ColumnElement, Connection, Engine, Float, Table, cast, func, select

from ci.queue import alarms
from ci.store.states import DeliveryState, JobState, OutboxState
from ci.store.tables import DELIVERY, JOB, OUTBOX
from farm import timestamps
from farm.model.device_health import DeviceState
from farm.model.run import Verdict
from farm.store.engine import transaction
from farm.store.tables import DEVICE, RUN, TRIAL
from farm.timestamps import moment

_WINDOW = timedelta(days=1)  # trials are many and their rows wide: all of them would be read at every scrape
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # GitHub hangs up after 10


class Metrics:
    """The metrics of one service."""

    def __init__(self, engine: Engine) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Stored(engine))
        self._webhook = Histogram(
            "farm_webhook_seconds",
            "Time until a webhook delivery was answered, by the answer's HTTP status.",
            ["status"],
            buckets=_BUCKETS_S,
            registry=self._registry,
        )

    def answered(self, status: int, seconds: float) -> None:
        """Note the answer to one delivery."""
        self._webhook.labels(str(status)).observe(seconds)

    def text(self) -> bytes:
        """Everything in Prometheus' text format. Raises `StoreError`."""
        return generate_latest(self._registry)


class _Stored(Collector):
    """What is counted in the store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def describe(self) -> list[Metric]:
        """Nothing: it would be asked of the store before there is anybody to ask."""
        return []

    def collect(self) -> Iterator[Metric]:
        with transaction(self._engine, "read") as connection:
            yield from (
                *_runs(connection),
                *_queue(connection),
                *_jobs(connection),
                *_devices(connection),
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
        ("farm_jobs", "Jobs of the queue.", JOB, JobState),
        ("farm_deliveries", "Webhook deliveries.", DELIVERY, DeliveryState),
        ("farm_outbox", "What forges are to be told.", OUTBOX, OutboxState),
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
