"""Records as rows of the store, and rows as records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import Row

from farm.record import DeviceRecord, MedianRecord, RunRecord, Verdict
from farm.report.json_report import parse
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


@dataclass(frozen=True, slots=True)
class DeviceSighting:
    """When and in which run a device was last held."""

    id: str  # "node/index"
    node: str
    soc: str
    platform: str
    last_seen: str
    last_run: str


def of_run(record: RunRecord) -> dict[str, str | None]:
    """The row of a run, without its id and owner."""
    return {
        "verdict": record.verdict.value if record.verdict else None,
        "reason": record.reason.replace("\0", "\N{REPLACEMENT CHARACTER}"),  # PostgreSQL keeps no NUL in text
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
        "record": trial.model_dump_json(),
    }


def of_device(held: DeviceRecord, run_id: str) -> dict[str, str]:
    """The row of a device that `run_id` holds now."""
    return {**held.model_dump(include={"id", "node", "soc", "platform"}), "last_seen": now(), "last_run": run_id}


def record(row: Row[Any], trials: list[TrialRecord]) -> RunRecord:
    """The record of a row; the columns have the last word on verdict, reason and end."""
    stored = parse(row.record, f"run {row.id} in the store")
    settled: dict[str, object] = {"trials": trials}
    if stored.verdict is None and row.verdict is not None:
        failure = Failure(fault=Fault.FARM, kind="interrupted", message=row.reason)
        settled["verdict"] = Verdict(row.verdict)
        settled["reason"] = row.reason
        settled["finished_at"] = row.finished_at
        settled["failures"] = [*stored.failures, failure]
    return stored.model_copy(update=settled)


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


def now() -> str:
    """This moment, as every time in the store is written."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
