"""Records as rows of the store, and rows as records."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sqlalchemy import Row

from farm.model import serialization
from farm.model.device_health import DeviceState, EventKind, Health, HealthEvent
from farm.model.run import DeviceRecord, MedianRecord, RunRecord, Verdict
from farm.timestamps import as_text, moment, now
from jobs.records import Failure, Fault, TrialRecord
from kernel.clock import Clock


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One line of a list of runs."""

    run_id: str
    started_at: str  # ISO 8601, UTC
    verdict: Verdict | None  # None while it runs
    reason: str
    kernel: str
    cases: tuple[str, ...]
    platform: str
    clock: Clock
    commit: str
    median_us: dict[str, float | None]  # case → median over all samples
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """One run's median of one case."""

    run_id: str
    started_at: str
    commit: str
    verdict: Verdict
    median: MedianRecord
    toolchain: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceSighting:
    """When a device was last seen, and in which run it was last held."""

    id: str  # "node/index"
    node: str
    soc: str  # "" where nobody has asked it yet
    card: str  # the same
    platform: str
    last_seen: str
    last_run: str  # "" where no run has held it


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One thing that happened on a device, and the state that left it in."""

    at: str  # ISO 8601, UTC
    kind: EventKind
    reason: str
    run_id: str  # "" where no run was involved
    state: DeviceState
    device: str = ""  # the slot it happened in: the card may have been in another one


def of_run(record: RunRecord) -> dict[str, str | None]:
    """The row of a run, without its id and owner."""
    return {
        "verdict": record.verdict.value if record.verdict else None,
        "reason": _text(record.reason),
        "kernel": record.kernel,
        "platform": record.platform,
        "commit": record.commit,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "record": record.model_copy(update={"trials": []}).model_dump_json(),
    }


def of_trial(run_id: str, trial: TrialRecord) -> dict[str, Any]:
    """The row of a trial."""
    return {
        "run_id": run_id,
        **trial.model_dump(include={"case", "device", "repeat", "attempt", "wall_us"}),
        "status": trial.status.value,
        "clock": trial.clock.value,
        "fingerprint": trial.fingerprint or None,
        "record": trial.model_dump_json(),
    }


def of_device(held: DeviceRecord, run_id: str) -> dict[str, str]:
    """What the row of a device that `run_id` holds now says; what is not known is left out."""
    told = held.model_dump(include={"id", "node", "soc", "card", "platform"})
    return {**{column: text for column, text in told.items() if text}, "last_seen": now(), "last_run": run_id}


def sighting(row: Row[Any]) -> DeviceSighting:
    """When a device was seen, from its row."""
    return DeviceSighting(row.id, row.node, row.soc, row.card, row.platform, row.last_seen, row.last_run)


def health(row: Row[Any]) -> Health:
    """How fit a device is, from its row."""
    return Health(
        state=DeviceState(row.state),
        since=row.since,
        why=row.why,
        cause=EventKind(row.cause) if row.cause else None,
        faults_in_row=row.faults_in_row,
        failed_last=row.failed_last,
        clean_canaries=row.clean_canaries,
        counts_after=row.counts_after,
        last_event_at=row.last_event_at,
    )


def of_health(told: Health) -> dict[str, Any]:
    """The columns of a device's row that say how fit it is."""
    return {**asdict(told), "state": told.state.value, "cause": told.cause.value if told.cause else None}


def storable(event: HealthEvent) -> HealthEvent:
    """`event` as it can be kept: its time in UTC like all others, so that times compare as text.

    Raises `ValueError` for an unreadable time.
    """
    at = as_text(moment(event.at))
    return replace(event, at=at, reason=_text(event.reason))


def of_event(event: HealthEvent, state: DeviceState, identity: str) -> dict[str, str]:
    """The row of an event that left its device, with the card `identity` in it, in `state`."""
    return {**asdict(event), "kind": event.kind.value, "state": state.value, "identity": identity}


def logged(row: Row[Any]) -> LoggedEvent:
    """An event, from its row."""
    return LoggedEvent(row.at, EventKind(row.kind), row.reason, row.run_id, DeviceState(row.state), row.device)


def record(row: Row[Any], trials: list[TrialRecord]) -> RunRecord:
    """The record of a row; the columns have the last word on verdict, reason and end."""
    stored = _parse(row.record, f"run {row.id} in the store")
    settled: dict[str, object] = {"trials": trials}
    if stored.verdict is None and row.verdict is not None:
        failure = Failure(fault=Fault.FARM, kind="interrupted", message=row.reason)
        settled["verdict"] = Verdict(row.verdict)
        settled["reason"] = row.reason
        settled["finished_at"] = row.finished_at
        settled["failures"] = [*stored.failures, failure]
    return stored.model_copy(update=settled)


def own_verdict(row: Row[Any]) -> Verdict | None:
    """The verdict that the run itself has given; None where a reader has settled it in its place."""
    return _parse(row.record, f"run {row.id} in the store").verdict


@functools.lru_cache(maxsize=1024)
def _parse(text: str, source: str) -> RunRecord:
    """Remembered by its text: trends and lists read the same runs again and again, and most of the time goes here."""
    return serialization.parse(text, source)


@functools.lru_cache(maxsize=64)
def trial(text: str) -> TrialRecord:
    """The record of a trial's row; the last of them are remembered, because who looks at a run looks again."""
    return TrialRecord.model_validate_json(text, extra="ignore")


def summary(record: RunRecord) -> RunSummary:
    """What a list of runs shows of one."""
    return RunSummary(
        run_id=record.run_id,
        started_at=record.started_at,
        verdict=record.verdict,
        reason=record.reason,
        kernel=record.kernel,
        cases=tuple(record.cases),
        platform=record.platform,
        clock=record.clock,
        commit=record.commit,
        median_us={case: median.overall for case, median in record.median_us.items()},
        devices=tuple(held.id for held in record.devices),
    )


def _text(text: str) -> str:
    """PostgreSQL keeps no NUL in text."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
