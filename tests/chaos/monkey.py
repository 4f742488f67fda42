"""Fifty runs on a cluster of three nodes, while everything is killed, frozen, cut, locked and filled at random moments.

    python -m tests.chaos.monkey [--runs 50] [--seed 1] [--log FILE]

What is done, and when, follows from the seed as far as processes on a real machine let it: each kind of fault once,
then by weight. One node is behind a cable that can be cut, and all files are on a small disk that can be filled, where
this process may make network namespaces and mount. Nothing is asserted here: the outcome is returned for a test to
judge and written as a log for a person to read.

No run has two of its workers killed by hand: a process that dies without a word on two healthy cards is what a kernel
looks like that crashes everywhere, and the farm says so.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import subprocess
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from farm.cluster import connection
from farm.model.run import RunRecord, Verdict
from farm.store.run_store import Store
from tests import clusters, network_namespaces, ray_node
from tests.chaos import driver
from tests.chaos.authors import Authors
from tests.chaos.faults import Faults, Scene
from tests.network_namespaces import Beyond
from tests.processes import importing_tests
from tests.waiting import came_true

NODES, PER_NODE = 3, 2
FIRST_S = 4.0  # until the first drivers have something to lose
# Between two faults, and for how long one lasts that is undone.
BETWEEN_S, LASTS_S = (2.0, 4.0), (2.0, 5.0)
COUNT_EVERY_S = 0.5
# Faults for a run that has ended, at most: on a slow machine, as many as on a fast one, which then meet the same runs.
FAULTS_A_RUN = 1.0
_DISK_MB, _RUN_MB = 48, 4


@dataclass(slots=True)
class Outcome:
    """What became of it all."""

    wanted: dict[str, str] = field(default_factory=dict)  # run id → "honest" or "wrong"
    asked_for: int = 0  # runs
    records: list[RunRecord] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    kinds: set[str] = field(default_factory=set)  # of faults that can be done here
    free_at_end: int = 0
    devices: int = NODES * PER_NODE
    stranded_s: float = 0.0  # the longest time for which more devices were held than drivers could use
    seconds: float = 0.0
    log: list[str] = field(default_factory=list)


class Monkey:
    """Keeps drivers busy until `runs` runs have ended and each kind of fault was tried."""

    def __init__(self, runs: int, seed: int, home: Path, drivers: int = 3, pace: float = 1.0) -> None:
        """At a `pace` above 1 faults follow each other faster, and last less."""
        self._random = random.Random(seed)
        self._between_s = (BETWEEN_S[0] / pace, BETWEEN_S[1] / pace)
        self._lasts_s = (LASTS_S[0] / pace, LASTS_S[1] / pace)
        self._home = home
        self._drivers = drivers
        self._begin = time.monotonic()
        self._counted_at = 0.0
        self._crowded_since = 0.0
        self.outcome = Outcome(asked_for=runs)

    def run(self) -> Outcome:
        """All of it."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(importing_tests())
            disk = stack.enter_context(small_disk(self._home, _DISK_MB + _RUN_MB * self.outcome.asked_for))
            beyond = stack.enter_context(self._beyond())
            cluster = stack.enter_context(clusters.cluster(address=beyond.here if beyond else ""))
            database = self._home / "store.sqlite"
            authors = Authors(self._drivers, self._home, f"sqlite:///{database}", self._say)
            stack.callback(authors.end)
            store = stack.enter_context(Store.open(f"sqlite:///{database}"))
            here = range(NODES - 1 if beyond else NODES)
            nodes = {number: clusters.add_node(cluster, number, PER_NODE) for number in here}
            if beyond:
                self._add_beyond(stack, beyond, cluster.address)
            scene = Scene(cluster, nodes, authors, store, database, beyond, disk, PER_NODE)
            self._reign(scene, Faults(scene, self._random, self._say, self._lasts_s))
            self.outcome.free_at_end = self._settled_free()
            self.outcome.records = [store.get(each.run_id) for each in store.list(limit=10_000)]
            self.outcome.wanted = authors.wanted
        self.outcome.seconds = time.monotonic() - self._begin
        return self.outcome

    @contextlib.contextmanager
    def _beyond(self) -> Iterator[Beyond | None]:
        why = network_namespaces.unavailable()
        if why:
            self._say(f"no cuts: {why}")
            yield None
            return
        with network_namespaces.beyond() as made:
            yield made

    def _add_beyond(self, stack: contextlib.ExitStack, beyond: Beyond, address: str) -> None:
        arguments = ray_node.member(address, beyond.address, f"n{NODES - 1}", PER_NODE)
        log = Path(tempfile.mkdtemp(prefix="farm-chaos-")) / "node.log"  # not on the disk that is filled
        stack.enter_context(ray_node.running(log, arguments, before=beyond.command()))
        assert came_true(lambda: len(connection.nodes()) == NODES + 1, 120.0), log.read_text()

    def _reign(self, scene: Scene, faults: Faults) -> None:
        authors, kinds = scene.authors, faults.kinds()
        self.outcome.kinds = set(kinds)
        wrong = [self._random.random() < 0.2 for _ in range(self.outcome.asked_for)]
        authors.want(*("wrong" if each else "honest" for each in wrong))
        first = deque(self._random.sample(sorted(kinds), len(kinds)))  # each kind once
        next_fault = time.monotonic() + FIRST_S
        while authors.busy or first:
            if first and authors.starved:
                authors.want("honest")
                self.outcome.asked_for += 1
            authors.look_after(scene.cluster.address)
            lasting = faults.undo()
            self._count_devices(authors)
            if time.monotonic() > next_fault and not lasting and (first or self._may_go_on(authors)):
                kind = first[0] if first else self._random.choices(list(kinds), list(kinds.values()))[0]
                if faults.do(kind):
                    self.outcome.faults[kind] += 1
                    if first:
                        first.popleft()
                    next_fault = time.monotonic() + self._random.uniform(*self._between_s)
            time.sleep(0.1)
        while faults.undo():
            time.sleep(0.1)

    def _may_go_on(self, authors: Authors) -> bool:
        return self.outcome.faults.total() < self._drivers + FAULTS_A_RUN * authors.ended

    def _count_devices(self, authors: Authors) -> None:
        """Note for how long more devices are held than all drivers together can use."""
        if time.monotonic() - self._counted_at < COUNT_EVERY_S:
            return
        self._counted_at = time.monotonic()
        there = sum(node.npus for node in connection.nodes().values())
        held = there - connection.free_count()
        crowded = held > driver.DEVICES * len(authors.alive)
        self._crowded_since = (self._crowded_since or time.monotonic()) if crowded else 0.0
        if crowded:
            self.outcome.stranded_s = max(self.outcome.stranded_s, time.monotonic() - self._crowded_since)

    def _settled_free(self) -> int:
        """Free devices, once Ray has noticed that everybody has gone, nodes that were killed among them."""
        came_true(lambda: connection.free_count() == NODES * PER_NODE, 60.0)
        return connection.free_count()

    def _say(self, text: str) -> None:
        line = f"{time.monotonic() - self._begin:7.1f} s  {text}"
        self.outcome.log.append(line)
        print(line, flush=True)


@contextlib.contextmanager
def small_disk(directory: Path, megabytes: int) -> Iterator[Path | None]:
    """`directory` is a disk of its own within the block; None where this process may not mount."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(directory)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True, capture_output=True)


def summary(outcome: Outcome) -> list[str]:
    """The outcome in a few lines."""
    verdicts = Counter(record.verdict.value if record.verdict else "none" for record in outcome.records)
    resumed = sum(bool(record.resumed_from) for record in outcome.records)
    attempts = sum(trial.status.value != "ok" for record in outcome.records for trial in record.trials)
    return [
        f"runs      {len(outcome.records)} ({resumed} of them resumed), {outcome.seconds:.0f} s",
        f"faults    {', '.join(f'{count} {kind}' for kind, count in sorted(outcome.faults.items()))}",
        f"verdicts  {', '.join(f'{count} {verdict}' for verdict, count in sorted(verdicts.items()))}",
        f"trials    {sum(len(record.trials) for record in outcome.records)}, {attempts} attempts lost or failed",
        f"devices   {outcome.free_at_end} of {outcome.devices} free at the end; more held than in use for at most "
        f"{outcome.stranded_s:.0f} s",
    ]


def wrong_verdicts(outcome: Outcome) -> list[str]:
    """Runs whose verdict their kernel does not deserve; errored is never wrong where things are killed."""
    never = {"honest": Verdict.FAILED, "wrong": Verdict.PASSED}
    return [
        f"{record.run_id}: {outcome.wanted[record.run_id]} and {record.verdict.value}: {record.reason}"
        for record in outcome.records
        if record.verdict is not None and record.verdict is never[outcome.wanted.get(record.run_id, "honest")]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        outcome = Monkey(asked.runs, asked.seed, Path(home)).run()
    ends = ["", *summary(outcome), *wrong_verdicts(outcome)]
    print("\n".join(ends))
    if asked.log:
        asked.log.write_text("\n".join([*outcome.log, *ends]) + "\n")


if __name__ == "__main__":
    main()
