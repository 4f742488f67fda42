"""Measure the costs that the model of a large farm needs: python -m benchmarks.costs --json benchmarks/costs.json

Devices that this host does not have are slots: the farm's own `Execution` drives up to 3,000 of them. They share three
Ray actors that answer with a record of `flash-s2`'s size. So the driver's work is real, and the nodes' work is not.
Driver, head and worker are measured in CPU seconds, which other work on the host disturbs little; the store in wall
seconds, since it waits for the disk. Fits are least squares, kept at 0 or above.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pickle
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import ray

from benchmarks import arms
from benchmarks.idle import IdleLease, cluster, leased
from benchmarks.machine import watched
from farm.execution.in_flight import InFlightTrials
from farm.leasing.device_lease import DeviceLease
from farm.leasing.stage_board import StageBoard
from farm.model.device_health import EventKind, HealthEvent
from farm.model.run import DeviceRecord
from farm.store.run_store import Store
from farm.timestamps import now
from jobs.records import TrialRecord
from kernel.clock import Clock

TASKS = 155  # in a record of flash-s2
ACTORS = 3
BULK = 8  # records in one answer, as many as a node has devices
# Slots, mean seconds between a trial's start and end, trials. Without a pause many land in a round, with one few do.
DRIVEN = (
    (10, 0.0, 2000),
    (10, 0.1, 600),
    (300, 0.0, 4000),
    (300, 1.5, 1200),
    (1000, 0.0, 5000),
    (1000, 4.0, 2500),
    (3000, 0.0, 9000),
)
BATCHES = (1, 3, 10, 30, 100, 300)
BATCH_TIMES = 9
TASKS_TIMES = 999
HEAD_DEVICES = 24

Told = dict[str, dict[str, float | str]]


@dataclass(frozen=True, slots=True)
class Driven:
    """What the driver's main thread spent between the first round with a result and the last."""

    devices: int
    trials: int
    rounds: int
    cpu_s: float


class Echo:
    """Answers many trials at the same time, each after a while."""

    def __init__(self, record: TrialRecord) -> None:
        self._record = record
        self._random = random.Random(0)
        self._mean_s = 0.0

    async def pretend(self, mean_s: float) -> None:
        """Wait about so long before each answer from now on."""
        self._mean_s = mean_s

    async def trial(self, request: Any, device: str, repeat: int, attempt: int, directory: str) -> TrialRecord:
        """As `farm.leasing.worker.DeviceWorker.trial`."""
        if self._mean_s:
            await asyncio.sleep(self._mean_s * self._random.uniform(0.5, 1.5))
        return self._record.model_copy(update={"device": device, "repeat": repeat})

    async def bulk(self, count: int) -> list[TrialRecord]:
        """`count` records in one answer."""
        # Deep, or pickle would send what the copies share only once.
        return [self._record.model_copy(update={"repeat": number}, deep=True) for number in range(count)]


class _Head:
    def check(self) -> None:
        """It is there."""


def main() -> None:
    """Measure everything, print and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", type=Path, help="write what was measured to this file")
    options = parser.parse_args()
    costs: Told = {}
    with watched() as watch:
        for measure in (_worker, _store, _head, _driver):
            costs.update(measure())
            print(f"costs: {measure.__name__.strip('_')} measured", file=sys.stderr, flush=True)
    for name, told in costs.items():
        print(f"{name:16} {float(told['seconds']) * 1e3:12.4f} ms  {told['how']}")
    print(watch.machine.verdict)
    if options.json:
        machine = {**watch.machine.as_dict(), "ray": ray.__version__}
        options.json.write_text(json.dumps({"machine": machine, "costs": costs}, indent=1) + "\n")


def fitted(rows: Sequence[Sequence[float]], values: Sequence[float]) -> tuple[list[float], float]:
    """The c that makes rows · c the nearest to `values` in relative terms, and the largest relative error left.

    Least squares of (rows · c − value) / value; a c below 0 is fixed at 0 and the others are fitted again.
    """
    matrix = np.array(rows, dtype=float) / np.array(values, dtype=float)[:, None]
    target = np.ones(len(values))
    found = np.zeros(matrix.shape[1])
    kept = list(range(matrix.shape[1]))
    while kept:
        some = np.linalg.lstsq(matrix[:, kept], target, rcond=None)[0]
        if (some >= 0).all():
            found[kept] = some
            break
        kept.pop(int(some.argmin()))
    return [float(each) for each in found], float(np.abs(matrix @ found - target).max())


def _told(seconds: float, how: str) -> dict[str, float | str]:
    return {"seconds": seconds, "how": how}


def _driver() -> Told:
    """What the driver does for a trial, for a round, and for every device in a round."""
    # "local", or it would join any Ray that is already on this host.
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        board = ray.remote(StageBoard).options(num_cpus=0).remote()
        echo = ray.remote(Echo).options(num_cpus=0, max_concurrency=20_000)
        actors = [echo.remote(arms.full_record(TASKS)) for _ in range(ACTORS)]
        driven = [_drive(actors, board, *each) for each in DRIVEN]
        start_s, bulk_s, tasks_s = _start(actors, board), _bulk(actors), _tasks()
    finally:
        ray.shutdown()
    # Divided by trials, or the longest pass would decide alone.
    rows = [[1.0, each.rounds / each.trials, each.rounds * each.devices / each.trials] for each in driven]
    (trial_s, round_s, device_s), error = fitted(rows, [each.cpu_s / each.trials for each in driven])
    slots = f"{DRIVEN[0][0]} to {DRIVEN[-1][0]} slots, {TASKS} tasks a record"
    how = f"main thread's CPU of Execution, {slots}, fit within {error:.0%}"
    return {
        "start_s": _told(start_s, "main thread's CPU of Flights.start, mean of 1,000 slots"),
        "trial_s": _told(trial_s, f"{how}: for each trial"),
        "tasks_s": _told(tasks_s, f"main thread's CPU of unpickling {TASKS} tasks, median of {TASKS_TIMES}"),
        "round_s": _told(round_s, f"{how}: for each round"),
        "round_device_s": _told(device_s, f"{how}: for each round and slot with a trial under way"),
        "bulk_trial_s": _told(bulk_s, f"main thread's CPU of ray.wait and ray.get, {BULK} records an answer, each"),
    }


def _lease(actors: list[Any], board: Any, count: int) -> IdleLease:
    devices = [
        DeviceRecord(
            id=f"n{slot // 8}/{slot % 8}",
            node=f"n{slot // 8}",
            node_id=str(slot // 8),
            index=slot % 8,
            soc="",
            platform="idle",
            pid=0,
            card=str(slot % 8),
        )
        for slot in range(count)
    ]
    return IdleLease(None, devices, [actors[slot % len(actors)] for slot in range(count)], board, _Head(), 0.0, 0.0)


def _drive(actors: list[Any], board: Any, devices: int, mean_s: float, trials: int) -> Driven:
    ray.get([actor.pretend.remote(mean_s) for actor in actors])
    ray.get([board.note.remote(slot, "run") for slot in range(devices)])
    marks: list[tuple[int, float]] = []  # (trials landed, CPU so far) after each round that kept something
    with tempfile.TemporaryDirectory(prefix="costs-") as directory:
        lease = _lease(actors, board, devices)
        arms.farm(lease, trials, Path(directory), None, lambda landed: marks.append((landed, time.thread_time())))
    (first, begun), (last, ended) = marks[0], marks[-1]
    told = Driven(devices, last - first, len(marks) - 1, ended - begun)
    each = f"{told.trials / told.rounds:.1f} land in a round, {1e3 * told.cpu_s / told.trials:.3f} ms a trial"
    print(f"costs: {devices} slots, {each}", file=sys.stderr, flush=True)
    return told


def _tasks() -> float:
    record = arms.full_record(TASKS)
    texts = [pickle.dumps(each) for each in (record, record.model_copy(update={"tasks": []}))]

    def seconds(text: bytes) -> float:
        begun = time.thread_time()
        pickle.loads(text)
        return time.thread_time() - begun

    return max(0.0, statistics.median(seconds(texts[0]) - seconds(texts[1]) for _ in range(TASKS_TIMES)))


def _start(actors: list[Any], board: Any, count: int = 1000) -> float:
    ray.get([actor.pretend.remote(0.0) for actor in actors])
    lease = cast(DeviceLease, _lease(actors, board, count))
    with tempfile.TemporaryDirectory(prefix="costs-") as directory:
        in_flight = InFlightTrials(lease, Path(directory), Clock.SIMULATED, 3600.0)
        begun = time.thread_time()
        for slot in range(count):
            in_flight.start(slot, "tiny", arms.REQUEST, 0, 0)
        spent = time.thread_time() - begun
        while in_flight.busy:
            in_flight.poll()
    return spent / count


def _bulk(actors: list[Any], answers: int = 500) -> float:
    begun = time.thread_time()
    waiting = [actors[number % ACTORS].bulk.remote(BULK) for number in range(answers)]
    while waiting:
        done, waiting = ray.wait(waiting)
        ray.get(done)
    return (time.thread_time() - begun) / (answers * BULK)


def _store() -> Told:
    """A batch of records and of health events, as a run writes each round; below the current directory, on its disk."""
    with (
        tempfile.TemporaryDirectory(prefix="costs-", dir=Path.cwd()) as name,
        Store.open(f"sqlite:///{Path(name) / 'store.sqlite'}") as store,
    ):
        spent = [_batch(store, size) / size for size in BATCHES]
    (batch_s, trial_s), error = fitted([[1.0 / size, 1.0] for size in BATCHES], spent)
    sizes = f"batches of {BATCHES[0]} to {BATCHES[-1]}, median of {BATCH_TIMES}"
    how = f"wall of save_trials and observe, SQLite, {sizes}, fit within {error:.0%}"
    return {
        "store_batch_s": _told(batch_s, f"{how}: for each batch"),
        "store_trial_s": _told(trial_s, f"{how}: for each trial"),
    }


def _batch(store: Store, size: int) -> float:
    """Median wall seconds of one batch of `size` trials, each on a device of its own."""
    run_id = f"costs-{size}"
    store.begin(arms.run_record(run_id, _lease([None], None, 1), size))
    trial = arms.full_record(TASKS)
    spent = []
    for number in range(BATCH_TIMES):
        records = [trial.model_copy(update={"device": f"n{i // 8}/{i % 8}", "repeat": number}) for i in range(size)]
        begun = time.monotonic()
        store.save_trials(run_id, records)
        store.observe([HealthEvent(each.device, "idle", now(), EventKind.TRIAL_OK, "", run_id) for each in records])
        spent.append(time.monotonic() - begun)
    return sorted(spent)[BATCH_TIMES // 2]


def _head() -> Told:
    """The CPU of Ray's control service while devices are placed, get a worker and lose it."""
    with cluster(2, HEAD_DEVICES):
        service = _child("gcs_server")
        with leased(2, arms.full_record(1), 300.0):
            pass  # what only the first lease costs
        before = _cpu_s(service)
        with leased(HEAD_DEVICES, arms.full_record(1), 300.0):
            pass
        spent = _cpu_s(service) - before
    how = f"CPU of gcs_server while {HEAD_DEVICES} devices on 2 raylets are placed, get a worker each and lose it"
    return {"head_device_s": _told(spent / HEAD_DEVICES, how)}


def _child(name: str) -> int:
    """Process id of this process's child of that name."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            told = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except OSError:
            continue  # it has ended meanwhile
        if told["PPid"] == str(os.getpid()) and told["Name"] == name:
            return int(told["Pid"])
    raise RuntimeError(f"no child process {name}")


def _cpu_s(pid: int) -> float:
    """User and system CPU seconds of a process: fields 14 and 15 of its stat, in clock ticks."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def _worker() -> Told:
    """What a real worker costs its node, from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.worker_cost"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    marks: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {
        name: _told(seconds, "CPU of one process, flash-s2 on a2a3sim, one thread") for name, seconds in marks.items()
    }


if __name__ == "__main__":
    main()
