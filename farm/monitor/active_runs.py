"""How far runs are that have no verdict yet: trials in the store, and what their own process says it is doing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, func, select

from farm.model import progress
from farm.model.run import RunRecord
from farm.store import row_mapping
from farm.store.engine import transaction
from farm.store.tables import RUN, TRIAL
from farm.timestamps import moment, utc_now
from jobs.records import TrialStatus


@dataclass(frozen=True, slots=True)
class DeviceProgress:
    """One device of a run that goes on."""

    id: str
    stage: str  # "" where the run's process is on another machine
    done: int  # trials measured
    planned: int
    lost: int  # trials that ended without a measurement


@dataclass(frozen=True, slots=True)
class ActiveRun:
    """One run that goes on."""

    record: RunRecord  # without its trials
    devices: tuple[DeviceProgress, ...]
    done: int
    planned: int
    elapsed_s: float
    left_s: float | None  # at the speed so far; None before the first trial


def going(engine: Engine, run_id: str = "") -> list[ActiveRun]:
    """Every run without a verdict, or only `run_id`, the one started first at the front."""
    query = select(RUN).where(RUN.c.verdict.is_(None)).order_by(RUN.c.started_at)
    query = query.where(RUN.c.id == run_id) if run_id else query
    with transaction(engine, "read") as connection:
        records = [row_mapping.record(row, []) for row in connection.execute(query)]
        mine = TRIAL.c.run_id.in_([record.run_id for record in records])
        keys = (TRIAL.c.run_id, TRIAL.c.device, TRIAL.c.status)
        counted: dict[str, Counter[tuple[str, bool]]] = defaultdict(Counter)
        for run, device, status, number in connection.execute(select(*keys, func.count()).where(mine).group_by(*keys)):
            counted[run][device, status == TrialStatus.OK.value] += number
    return [_going(record, counted[record.run_id]) for record in records]


def _going(record: RunRecord, counted: Counter[tuple[str, bool]]) -> ActiveRun:
    noted = progress.read(Path(record.directory)) if record.directory else None
    each = len(record.cases) * record.request.repeats
    done = sum(number for (_, measured), number in counted.items() if measured)
    planned = max(each * record.request.devices + (noted.extra if noted else 0), done)
    elapsed_s = (utc_now() - moment(record.started_at)).total_seconds()
    return ActiveRun(
        record=record,
        devices=tuple(_devices(record, counted, each, noted.stages if noted else {})),
        done=done,
        planned=planned,
        elapsed_s=elapsed_s,
        left_s=elapsed_s / done * (planned - done) if done else None,
    )


def _devices(
    record: RunRecord, counted: Counter[tuple[str, bool]], each: int, stages: dict[str, str]
) -> Sequence[DeviceProgress]:
    names = dict.fromkeys([held.id for held in record.devices] + [device for device, _ in counted])
    return [
        DeviceProgress(
            id=name,
            stage=stages.get(name, ""),
            done=counted[name, True],
            planned=max(each, counted[name, True]),
            lost=counted[name, False],
        )
        for name in names
    ]
