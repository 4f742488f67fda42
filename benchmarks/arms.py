"""The arms that `benchmarks.scale` compares: the farm's own loop, and the shortest loop over the same actors in Ray."""

from __future__ import annotations

import gc
import math
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import ray

from benchmarks.idle import IdleLease
from farm.execution.deadlines import RunDeadlines
from farm.execution.executor import TrialExecutor
from farm.execution.in_flight import InFlightTrials
from farm.execution.observer import Observer
from farm.execution.plan import Plan, PlannedTrial
from farm.leasing.device_lease import DeviceLease
from farm.model.device_health import events_of
from farm.model.run import RunRecord, RunRequest
from farm.model.timeouts import Timeouts
from farm.store.run_store import Store
from farm.timestamps import new_id, now
from jobs.records import OutputRecord, TaskRecord, ToleranceRecord, TrialRecord, TrialRequest, TrialStatus
from kernel.clock import Clock

REQUEST = TrialRequest(kernel="qkv_proj_rope", case="tiny", platform="idle", input_set="documented")
_NO_LIMIT = Timeouts(trial_s=86_400.0, lease_s=90_000.0, run_s=100_000.0)


@dataclass(slots=True)
class Clocked:
    """How long each device had nothing to do before each of its trials: from its last one's end to the next's start.

    A device's first trial counts from the start of the arm. Seconds; `idle` has one entry a trial.
    """

    begun: float  # time.monotonic()
    idle: list[float] = field(default_factory=list)
    _free_since: dict[str, float] = field(default_factory=dict)

    def take(self, record: TrialRecord) -> None:
        """Take one trial's times from where `IdleWorker.trial` has put them."""
        since = self._free_since.get(record.device, self.begun)
        self.idle.append(cast(float, record.wall_us) / 1e6 - since)
        self._free_since[record.device] = record.host_s


@dataclass(frozen=True, slots=True)
class Measured:
    """One pass of one arm."""

    trials: int
    seconds: float  # wall
    driver_cpu_s: float  # of the driver's process, its threads included
    idle: list[float]  # seconds a device waited for each trial
    rounds: int = 0  # how often records were kept
    store_s: float = 0.0  # wall seconds in the store

    @property
    def rate(self) -> float:
        """Trials a second."""
        return self.trials / self.seconds


def plain(lease: IdleLease, trials: int) -> Measured:
    """What Ray alone does: one `ray.wait` loop over the actors, one trial under way on each."""
    left = _shares(len(lease.slots), trials)
    clocked, cpu = Clocked(time.monotonic()), time.process_time()
    waiting: dict[Any, int] = {}

    def start(slot: int) -> None:
        if left[slot]:
            left[slot] -= 1
            waiting[lease.actors[slot].trial.remote(REQUEST, lease.devices[slot].id, left[slot], 0, "")] = slot

    for slot in lease.slots:
        start(slot)
    while waiting:
        [done], _ = ray.wait(list(waiting), num_returns=1)
        slot = waiting.pop(done)
        clocked.take(ray.get(done))
        start(slot)
    return Measured(trials, time.monotonic() - clocked.begun, time.process_time() - cpu, clocked.idle)


def farm(
    lease: IdleLease, trials: int, directory: Path, store: Store | None, sample: Callable[[int], None] | None = None
) -> Measured:
    """The farm's own `TrialExecutor`. With `store` each round is made durable as a run does it, health events included.

    `sample` is called with the number of trials that have landed after each round; nothing is remembered then.
    """
    run_id = new_id()
    if store is not None:
        store.begin(run_record(run_id, lease, trials))
    plan = _plan(len(lease.slots), trials)
    clocked, cpu = Clocked(time.monotonic()), time.process_time()
    landed, rounds, store_s = 0, 0, 0.0

    def keep(records: list[TrialRecord]) -> None:
        nonlocal landed, rounds, store_s
        landed, rounds, begun = landed + len(records), rounds + 1, time.monotonic()
        if store is not None:
            store.save_trials(run_id, records)
            store.observe([event for each in records for event in events_of(each, run_id, "idle", now())])
        store_s += time.monotonic() - begun
        if sample is not None:
            sample(landed)
            return
        for record in records:
            clocked.take(record)

    held = cast(DeviceLease, lease)
    in_flight = InFlightTrials(held, directory, Clock.SIMULATED, _NO_LIMIT.trial_s)
    execution = TrialExecutor(held, in_flight, RunDeadlines(_NO_LIMIT, held), Observer(), keep)
    execution.run(plan)
    if landed != trials or execution.problems:
        raise RuntimeError(f"{landed} of {trials} trials landed; {execution.problems[:1]}")
    seconds = time.monotonic() - clocked.begun
    return Measured(trials, seconds, time.process_time() - cpu, clocked.idle, rounds, store_s)


def wait_us(references: int, times: int = 20) -> float:
    """Lowest of `times` µs of one `ray.wait` over `references` calls of which one has ended.

    The calls wait in the queue of one actor, so thousands of them need no processes.
    """
    actor = ray.remote(_Stuck).options(num_cpus=0, max_concurrency=2).remote()
    try:
        done = actor.answer.remote()
        ray.get(done)
        waiting = [*(actor.hang.remote() for _ in range(references - 1)), done]
        taken = []
        for _ in range(times):
            begun = time.perf_counter()
            ray.wait(waiting, num_returns=1, fetch_local=False)
            taken.append(time.perf_counter() - begun)
        return 1e6 * min(taken)
    finally:
        ray.kill(actor)


class _Stuck:
    def answer(self) -> None:
        """At once."""

    def hang(self) -> None:
        """Never."""
        threading.Event().wait()


def resident_mb() -> float:
    """Resident memory of this process, MB, after a garbage collection."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def quantile(values: list[float], share: float) -> float:
    """The value below or at which `share` of `values` lie (nearest rank); NaN for none."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)] if ranked else math.nan


def slope(points: list[tuple[float, float]]) -> float:
    """The least-squares slope of y over x: Σ(x−x̄)(y−ȳ) / Σ(x−x̄)²."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def _shares(devices: int, trials: int) -> Counter[int]:
    return Counter(number % devices for number in range(trials))


def _plan(devices: int, trials: int) -> Plan:
    shares = _shares(devices, trials)
    planned = (PlannedTrial(REQUEST.case, slot, repeat) for slot in range(devices) for repeat in range(shares[slot]))
    return Plan({REQUEST.case: REQUEST}, tuple(planned))


def run_record(run_id: str, lease: IdleLease, trials: int) -> RunRecord:
    """A run that has begun, for the store."""
    devices = len(lease.slots)
    asked = RunRequest(
        kernel=REQUEST.kernel,
        cases=[REQUEST.case],
        platform=REQUEST.platform,
        devices=devices,
        repeats=trials // devices,
        input_set=REQUEST.input_set,
        seed=REQUEST.seed,
    )
    return RunRecord(
        run_id=run_id,
        verdict=None,
        reason="running",
        kernel=asked.kernel,
        cases=asked.cases,
        platform=asked.platform,
        clock=Clock.SIMULATED,
        commit="unknown",
        started_at=now(),
        finished_at=None,
        request=asked,
        toolchain={},
        devices=lease.devices,
        builds=[],
        trials=[],
        gates=[],
        median_us={},
        budget={},
    )


def full_record(tasks: int) -> TrialRecord:
    """What an idle worker answers with: a record of the size a real trial of `tasks` tasks and four outputs has."""
    tolerance = ToleranceRecord(
        passed=True,
        reference="golden",
        outlier_share=0.0,
        allowed_outlier_share=0.005,
        max_abs_err=0.0,
        max_rel_err=0.0,
        worst_index=[0, 0],
        worst_actual=1.0,
        worst_expected=1.0,
        nonfinite=0,
    )
    output = OutputRecord(sha256="0" * 64, shape=[128, 512], dtype="bfloat16", tolerance=tolerance)
    return TrialRecord(
        case=REQUEST.case,
        device="",
        repeat=0,
        attempt=0,
        status=TrialStatus.OK,
        clock=Clock.SIMULATED,
        outputs={name: output.model_copy(deep=True) for name in ("q", "kv", "qr", "qr_scale")},
        tasks=[
            TaskRecord(name=f"task_{number}", stage="q-proj", core=f"AIC_{number % 24}", start_us=1.0, duration_us=2.0)
            for number in range(tasks)
        ],
        fingerprint="0" * 64,
        log="logs/trial",
    )
