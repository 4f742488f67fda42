"""A store as a farm has it after some months, made in seconds: rows as the store writes them, inserted in bulk."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from sqlalchemy import Engine, insert

from benchmarks.pages_trials import Trial, trial_rows
from ci.queue.options import JobOptions
from ci.store.states import JobKind, JobState
from ci.store.tables import JOB
from farm.model.device_health import DeviceState, EventKind
from farm.model.run import (
    BudgetRecord,
    DeviceRecord,
    GateRecord,
    GateStatus,
    MedianRecord,
    RunRecord,
    RunRequest,
    Verdict,
)
from farm.process import identity
from farm.store import row_mapping
from farm.store.tables import DEVICE, DEVICE_EVENT, RUN, TRIAL
from jobs.records import BuildRecord
from kernel.clock import Clock

KERNEL, DEVICES, REPEATS = "qkv_proj_rope", 3, 3
CASES = (("flash-s2", 131.0), ("flash-s1", 96.0))  # and the µs they begin with
PLATFORMS = (("a2a3sim", Clock.SIMULATED, 0.0), ("a2a3", Clock.MEASURED, 0.02))  # and the noise of one trial
NODES, PER_NODE = 8, 8
EVERY = timedelta(minutes=15)  # a run begins
STEPS = (0.97, 0.94, 0.99)  # of the level, each after a quarter of the runs
TASKS = 400  # of a trial of the newest runs, as many as flash-s2 has; of the others eight, to keep the file small
NEWEST = 50
SLOW, FAULTY = "npu-3/5", "npu-6/2"


def seed(engine: Engine, trials: int, directory: Path, newest: int = NEWEST) -> list[str]:
    """Fill an empty store with `trials` trials up to this moment; returns the runs' ids, oldest first.

    The `newest` runs have all tasks, and their directories below `directory`, which are not made. The last two are
    still running, owned by the calling process.
    """
    runs = max(trials // (DEVICES * REPEATS), 4)
    begin = datetime.now(timezone.utc) - EVERY * runs
    chance = random.Random(7)
    ids = []
    with engine.begin() as connection:
        connection.execute(insert(DEVICE), list(_devices(begin + EVERY * runs)))
        for batch in _batches(runs):
            plans = [_plan(number, runs, newest, begin + EVERY * number, chance) for number in batch]
            made = [_run(plan, directory) for plan in plans]
            ids += [record.run_id for record in made]
            connection.execute(insert(RUN), [_row(record) for record in made])
            connection.execute(insert(TRIAL), [row for plan in plans for row in _rows(plan)])
            connection.execute(insert(DEVICE_EVENT), [event for plan in plans for event in _events(plan)])
            connection.execute(insert(JOB), [_job(record, number) for number, record in enumerate(made) if number % 2])
        connection.execute(insert(JOB), [_queued(number, begin + EVERY * runs) for number in range(6)])
    return ids


def _batches(runs: int) -> Iterator[range]:
    for start in range(0, runs, 500):
        yield range(start, min(start + 500, runs))


def _devices(now: datetime) -> Iterator[dict[str, Any]]:
    for platform, _, _ in PLATFORMS:
        for node, index in itertools.product(range(NODES), range(PER_NODE)):
            name = f"npu-{node}/{index}"
            out = name == FAULTY
            yield {
                "platform": platform,
                "id": name,
                "node": f"npu-{node}",
                "soc": "Ascend910B1",
                "card": str(index // 2),
                "last_seen": _text(now),
                "last_run": "",
                "state": (DeviceState.QUARANTINED if out else DeviceState.HEALTHY).value,
                "since": _text(now - timedelta(hours=5)) if out else "",
                "why": "2 device faults in a row, the last: AICore timeout" if out else "",
                "cause": EventKind.DEVICE_FAULT.value if out else None,
                "last_event_at": _text(now),
            }


class _Plan(NamedTuple):
    """What a run's rows are made from."""

    run_id: str
    number: int
    started: datetime
    verdict: Verdict | None
    platform: str
    clock: Clock
    case: str
    level_us: float
    full: bool  # one of the newest: all tasks, and a directory
    held: list[str]
    trials: list[Trial]


def _plan(number: int, runs: int, newest: int, started: datetime, chance: random.Random) -> _Plan:
    platform, clock, noise = PLATFORMS[number % 2]
    case, level = CASES[number // 2 % 2]
    for step, factor in enumerate(STEPS):
        level *= factor if number > runs * (step + 1) // 4 else 1.0
    running = number >= runs - 2
    node, first = number % NODES, number % (PER_NODE - DEVICES)
    held = [f"npu-{(node + away) % NODES}/{first + away}" for away in range(DEVICES)]
    kept = list(itertools.product(held, range(REPEATS)))[: 4 if running else None]
    return _Plan(
        run_id=f"{started:%Y%m%d-%H%M%S}-{number:06x}",
        number=number,
        started=started,
        verdict=None if running else chance.choices(list(Verdict), (90, 6, 4))[0],
        platform=platform,
        clock=clock,
        case=case,
        level_us=level,
        full=number >= runs - newest,
        held=held,
        trials=[Trial(device, repeat, _wall(level, device, noise, chance)) for device, repeat in kept],
    )


def _wall(level: float, device: str, noise: float, chance: random.Random) -> float:
    slow = 1.06 if device == SLOW and noise else 1.0
    return round(level * slow * (1 + chance.gauss(0, noise) if noise else 1.0), 3)


def _run(plan: _Plan, directory: Path) -> RunRecord:
    """The record without its trials, as its row has it."""
    running, case = plan.verdict is None, plan.case
    digest = hashlib.sha256(str(plan.number // 2).encode()).hexdigest()
    request = RunRequest(
        kernel=KERNEL,
        cases=[case],
        platform=plan.platform,
        devices=DEVICES,
        repeats=REPEATS,
        input_set="documented",
        seed=0,
    )
    return RunRecord(
        run_id=plan.run_id,
        verdict=plan.verdict,
        reason={None: "running", Verdict.PASSED: "all gates passed"}.get(plan.verdict, f"{case}: what went wrong"),
        kernel=KERNEL,
        cases=[case],
        platform=plan.platform,
        clock=plan.clock,
        commit=digest[:40],
        started_at=_text(plan.started),
        finished_at=None if running else _text(plan.started + timedelta(minutes=6)),
        request=request,
        toolchain={"pypto": "0.2.0", "torch": "2.9.0", "python": "3.11.2"},
        devices=[_device(plan.platform, name) for name in plan.held],
        builds=[_build(case, plan.clock, digest)],
        trials=[],
        gates=[] if running else [GateRecord(name=name, status=GateStatus.PASSED) for name in ("tolerance", "budget")],
        median_us={} if running else {case: _median(plan.trials, plan.clock)},
        budget={case: BudgetRecord(clock=plan.clock, ceiling_us=140.0, ratchet_us=None, source="budgets.toml")},
        directory=str(directory / plan.run_id) if plan.full else "",
    )


def _rows(plan: _Plan) -> Iterator[dict[str, Any]]:
    tasks = TASKS if plan.full else 8
    return trial_rows(plan.run_id, plan.case, plan.clock, plan.level_us, tasks, plan.trials)


def _device(platform: str, name: str) -> DeviceRecord:
    node, _, index = name.partition("/")
    return DeviceRecord(
        id=name,
        node=node,
        node_id=f"ray-{node}",
        index=int(index),
        soc="Ascend910B1",
        platform=platform,
        pid=4000,
        card="0",
    )


def _build(case: str, clock: Clock, digest: str) -> BuildRecord:
    tuning: dict[str, int | float | bool | str] = {"q_tile_k": 512, "pipeline_stages": 4}
    return BuildRecord(
        address=digest, fingerprint="f" * 64, case=case, tuning=tuning, cached=False, build_s=12.0, clock=clock
    )


def _median(trials: list[Trial], clock: Clock) -> MedianRecord:
    samples = [trial.wall_us for trial in trials]
    by_device = itertools.groupby(trials, lambda trial: trial.device)
    per_device = {device: median(trial.wall_us for trial in of_device) for device, of_device in by_device}
    centre = median(samples)
    mad = median(abs(us - centre) for us in samples)
    return MedianRecord(clock=clock, per_device=per_device, overall=centre, mad_us=mad, samples=samples)


def _row(record: RunRecord) -> dict[str, Any]:
    return {"id": record.run_id, "owner": identity.current().dump(), **row_mapping.of_run(record)}


def _events(plan: _Plan) -> Iterator[dict[str, str]]:
    for trial in plan.trials:
        fault = trial.device == FAULTY and trial.repeat == 0
        yield {
            "platform": plan.platform,
            "device": trial.device,
            "at": _text(plan.started),
            "kind": (EventKind.DEVICE_FAULT if fault else EventKind.TRIAL_OK).value,
            "reason": "AICore timeout" if fault else "",
            "run_id": plan.run_id,
            "state": (DeviceState.SUSPECT if fault else DeviceState.HEALTHY).value,
        }


def _job(record: RunRecord, number: int) -> dict[str, Any]:
    state = JobState.RUNNING if record.verdict is None else JobState.DONE
    return {
        **_source(record.run_id, record.commit, number),
        "state": state.value,
        "reason": record.reason,
        "run_id": record.run_id,
        "created_at": record.started_at,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
    }


def _queued(number: int, now: datetime) -> dict[str, Any]:
    commit = hashlib.sha256(f"queued {number}".encode()).hexdigest()[:40]
    state = JobState.HELD if number == 5 else JobState.QUEUED
    why = "waits for an approval" if number == 5 else ""
    times = {"created_at": _text(now), "started_at": None, "finished_at": None}
    return {**_source(f"queued {number}", commit, number), **times, "state": state.value, "reason": why, "run_id": ""}


def _source(of: str, commit: str, number: int) -> dict[str, Any]:
    return {
        "id": hashlib.sha256(of.encode()).hexdigest()[:32],
        "forge": "github",
        "repository": "octo-org/kernels",
        "subject": f"pull/{number}",
        "kind": JobKind.PULL_REQUEST.value,
        "number": number,
        "head_sha": commit,
        "base_sha": "",
        "base_ref": "main",
        "from_fork": False,
        "author": ("ada", "grace", "edsger")[number % 3],
        "priority": "pull-request",
        "options": JobOptions().model_dump_json(),
        "approved_by": "",
    }


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
