"""What scheduling costs: trials a second of the farm on idle devices, against plain Ray on the same actors.

    python -m benchmarks.scale --devices 3,30,200 --trials 3000 --memory-trials 100000 --json scale.json

Several raylets on this host share the simulated devices. Real are Ray, the placement, one actor a device, the farm's
`Execution`, `Flights` and `Blame`, records of the size of `flash-s2`'s and the SQLite store. Not real are the workers,
which import no torch and do nothing (`benchmarks.idle`), and the network, which is this host's loopback. Raylets and
workers share the cores with the driver, so rates are lower, and latencies higher, than with nodes of their own.

Arms take turns in one run, in reversed order every other round, and are compared round by round:

* plain         the shortest `ray.wait` loop; records are dropped
* farm          `Execution`; records are dropped
* farm+store    each round of records is made durable, the devices' health included, as a run does
* farm+all      and each worker reports four stages a trial to the stage board, as a real one does

Ready to running is the time from the end of one trial on a device to the start of the next there, by a clock that is
one for the host. With trials that do nothing it is devices / rate; the paced arms give trials a length, so that it says
what a device waits for a driver that keeps up. Numbers of this machine; no test asserts them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

import ray

from benchmarks import arms
from benchmarks.arms import Measured
from benchmarks.idle import IdleLease, cluster, leased
from benchmarks.machine import MachineWatch, watched
from farm.store.run_store import Store

WAITS = (3, 30, 200, 1_000, 4_000)  # references; Ray warns of more than 5,000 calls that wait
ARMS = ("plain", "farm", "farm+store", "farm+all")
START_S = 600.0
SAMPLE_TRIALS = 1000  # between two samples of the driver's memory


@dataclass(slots=True)
class ArmTable:
    """One arm over all rounds."""

    rate: list[float] = field(default_factory=list)  # trials/s by round
    driver_ms: list[float] = field(default_factory=list)  # CPU of the driver for a trial, by round
    store_ms: list[float] = field(default_factory=list)  # wall time in the store for a trial, by round
    landed: list[float] = field(default_factory=list)  # trials that ended in one turn of the loop, mean, by round
    idle_ms: list[float] = field(default_factory=list)  # [p50, p99] over all rounds, ready to running


@dataclass(slots=True)
class Scale:
    """What one number of devices gave."""

    devices: int
    placed_s: float  # until the farm knew its devices
    started_s: float  # from there until every worker had answered
    flat_out: dict[str, ArmTable] = field(default_factory=dict)
    paced: dict[str, ArmTable] = field(default_factory=dict)
    wait_us: dict[int, float] = field(default_factory=dict)  # one `ray.wait`, by references waited for

    def ratios(self, arm: str) -> list[float]:
        """The arm's rate over plain Ray's, round by round."""
        return [
            ours / theirs for ours, theirs in zip(self.flat_out[arm].rate, self.flat_out["plain"].rate, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Memory:
    """The driver's resident memory over many trials of one run."""

    devices: int
    trials: int
    seconds: float
    first_mb: float
    last_mb: float
    mb_per_10000: float  # least squares over the second half, once queues and caches are filled
    samples: list[tuple[int, float]]  # (trials landed, MB)


def main() -> int:
    """Read the options, measure, print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--devices", default="3,30,200", help="how many, one measurement each")
    parser.add_argument("--trials", type=int, default=3000, help="of one arm in one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nodes", type=int, default=4, help="raylets on this host")
    parser.add_argument("--tasks", type=int, default=155, help="in a record; flash-s2 has 155")
    parser.add_argument("--paced-s", type=float, default=1.0, help="seconds of a trial in the paced arms, 0 for none")
    parser.add_argument("--memory-trials", type=int, default=0, help="of one run that is watched for memory")
    parser.add_argument("--memory-devices", type=int, default=30)
    parser.add_argument("--json", type=Path, help="write what was measured to this file")
    options = parser.parse_args()
    with watched() as watch:
        code = _measure(options, watch)
    print(watch.machine.verdict)
    return code


def _measure(options: argparse.Namespace, watch: MachineWatch) -> int:
    scales: list[Scale] = []
    memory = None
    try:
        for devices in map(int, options.devices.split(",")):
            scales.append(_scale(devices, options))
            _say_table(scales[-1])
        if options.memory_trials:
            memory = _memory(options)
            print(f"memory: {memory.first_mb:.0f} → {memory.last_mb:.0f} MB over {memory.trials} trials")
            print(f"        {memory.mb_per_10000:+.2f} MB per 10,000 trials in the second half, {memory.seconds:.0f} s")
    except KeyboardInterrupt:
        _progress("interrupted")
        return 130
    finally:
        if options.json:
            machine = {**watch.machine.as_dict(), "ray": ray.__version__}
            told = {"machine": machine, "nodes": options.nodes, "trials": options.trials, "tasks": options.tasks}
            told |= {"paced_s": options.paced_s, "scales": [asdict(scale) for scale in scales]}
            told |= {"memory": asdict(memory) if memory else None}
            options.json.write_text(json.dumps(told, indent=1) + "\n")
    return 0


def _scale(devices: int, options: argparse.Namespace) -> Scale:
    _progress(f"{devices} devices: starting")
    with tempfile.TemporaryDirectory(prefix="scale-") as name, cluster(options.nodes, devices):
        directory = Path(name)
        with (
            leased(devices, arms.full_record(options.tasks), START_S) as lease,
            Store.open(f"sqlite:///{directory / 'store.sqlite'}") as store,
        ):
            _progress(f"{devices} devices: placed {lease.placed_s:.1f} s, workers {lease.started_s:.1f} s")
            scale = Scale(devices, lease.placed_s, lease.started_s)
            _pass(lease, "plain", devices * 3, 0.0, directory, store)  # each actor's first calls find its address
            scale.flat_out = _rounds(lease, options.rounds, options.trials, 0.0, directory, store)
            if options.paced_s:
                trials = devices * max(5, min(10, options.trials // devices))
                scale.paced = _rounds(lease, 1, trials, options.paced_s, directory, store)
            scale.wait_us = {references: arms.wait_us(references) for references in WAITS}
            return scale


def _rounds(
    lease: IdleLease, rounds: int, trials: int, busy_s: float, directory: Path, store: Store
) -> dict[str, ArmTable]:
    tables = {arm: ArmTable() for arm in ARMS}
    idle: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for number in range(rounds):
        for arm in ARMS if number % 2 == 0 else reversed(ARMS):
            measured = _pass(lease, arm, trials, busy_s, directory, store)
            _progress(f"{len(lease.slots)} devices: {arm:11} {measured.rate:8.1f} trials/s")
            tables[arm].rate.append(measured.rate)
            tables[arm].driver_ms.append(1e3 * measured.driver_cpu_s / trials)
            tables[arm].store_ms.append(1e3 * measured.store_s / trials)
            tables[arm].landed.append(trials / measured.rounds if measured.rounds else 1.0)
            idle[arm] += measured.idle
    for arm, table in tables.items():
        table.idle_ms = [1e3 * arms.quantile(idle[arm], share) for share in (0.50, 0.99)]
    return tables


def _pass(lease: IdleLease, arm: str, trials: int, busy_s: float, directory: Path, store: Store) -> Measured:
    lease.pretend(busy_s, notes=arm == "farm+all")
    if arm == "plain":
        return arms.plain(lease, trials)
    return arms.farm(lease, trials, directory, None if arm == "farm" else store)


def _memory(options: argparse.Namespace) -> Memory:
    devices, trials = options.memory_devices, options.memory_trials
    _progress(f"memory: {trials} trials on {devices} devices")
    samples: list[tuple[int, float]] = []

    def sample(landed: int) -> None:
        if landed >= len(samples) * SAMPLE_TRIALS:
            samples.append((landed, arms.resident_mb()))
            if len(samples) % 10 == 1:
                _progress(f"memory: {landed} trials, {samples[-1][1]:.1f} MB")

    with tempfile.TemporaryDirectory(prefix="scale-") as name, cluster(options.nodes, devices):
        url = f"sqlite:///{Path(name) / 'store.sqlite'}"
        with leased(devices, arms.full_record(options.tasks), START_S) as lease, Store.open(url) as store:
            begun = time.monotonic()
            arms.farm(lease, trials, Path(name), store, sample)
            seconds = time.monotonic() - begun
    rise = arms.slope([(landed / 1e4, mb) for landed, mb in samples[len(samples) // 2 :]])
    return Memory(devices, trials, seconds, samples[0][1], samples[-1][1], rise, samples)


def _say_table(scale: Scale) -> None:
    print(f"\n{scale.devices} devices: placed in {scale.placed_s:.1f} s, workers ready {scale.started_s:.1f} s later")
    print(f"{'arm':18} {'trials/s':>9} {'over plain (range)':>22} {'driver ms':>9} {'p50 ms':>8} {'p99 ms':>8}")
    for name, tables in (("", scale.flat_out), ("paced ", scale.paced)):
        for arm, table in tables.items():
            ratio = "" if name else f"{median(scale.ratios(arm)):.2f}"
            spread = "" if name else f" ({min(scale.ratios(arm)):.2f}–{max(scale.ratios(arm)):.2f})"
            low, high = table.idle_ms
            rate, cpu = median(table.rate), median(table.driver_ms)
            print(f"{name + arm:18} {rate:9.1f} {ratio + spread:>22} {cpu:9.2f} {low:8.2f} {high:8.2f}")
    waits = ", ".join(f"{each:.0f} µs for {references}" for references, each in scale.wait_us.items())
    print(f"one ray.wait: {waits}", flush=True)


def _progress(line: str) -> None:
    print(f"scale: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
