"""Fifty runs on a cluster of three nodes, while workers, raylets and drivers are killed at random moments.

    python -m tests.chaos.monkey [--runs 50] [--seed 1] [--log FILE]

What is killed, and when, follows from the seed as far as processes on a real machine let it. Nothing is asserted here:
the outcome is returned for a test to judge and written as a log for a person to read.

No run has two of its workers killed by hand: a process that dies without a word on two healthy cards is what a kernel
looks like that crashes everywhere, and the farm says so.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from farm.model.run import RunRecord, Verdict
from farm.store.run_store import Store
from tests import clusters
from tests.processes import importing_tests

NODES, PER_NODE, AUTHORS = 3, 2, 3
NODE_BACK_S = 4.0  # after its raylet was killed
AT_A_TIME = 5  # runs handed to one driver: starting a process costs as much as a run
BETWEEN_KILLS_S = (2.0, 5.0)
# Kills for a run that has ended, at most: on a slow machine, as many as on a fast one, which then meet the same runs.
KILLS_A_RUN = 1.0
WEIGHTS = {"worker": 5, "driver": 2, "raylet": 1}


@dataclass(slots=True)
class Outcome:
    """What became of it all."""

    wanted: dict[str, str] = field(default_factory=dict)  # run id → "honest" or "wrong"
    records: list[RunRecord] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    free_at_end: int = 0
    devices: int = NODES * PER_NODE
    seconds: float = 0.0
    log: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Author:
    """One driver process, and what it is at."""

    process: subprocess.Popen[str]
    works: deque[str]  # not ended yet; the first is under way
    errors: Path  # its stderr
    run_id: str = ""  # of the run under way, "" before it has begun
    listener: threading.Thread = field(init=False)


class Monkey:
    """Keeps `AUTHORS` drivers busy until `runs` runs have ended, and kills things meanwhile."""

    def __init__(self, runs: int, seed: int, home: Path) -> None:
        self._random = random.Random(seed)
        self._home = home
        self._url = f"sqlite:///{home / 'store.sqlite'}"
        kinds = ["wrong" if self._random.random() < 0.2 else "honest" for _ in range(runs)]
        self._waiting = deque(kinds)
        self._authors: list[_Author] = []
        self._hit: set[str] = set()  # runs that have lost a worker to us
        self._nodes: dict[int, Any] = {}
        self._away: dict[int, float] = {}  # node number → when it comes back
        self._started = 0  # drivers
        self._ended = 0  # runs
        self._lock = threading.Lock()
        self._begin = time.monotonic()
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """All of it; about four seconds a run on two cores."""
        with importing_tests():
            return self._run()

    def _run(self) -> Outcome:
        import ray

        with clusters.cluster() as cluster:
            try:
                for number in range(NODES):
                    self._nodes[number] = clusters.add_node(cluster, number, PER_NODE)
                self._reign(cluster)
                self.outcome.free_at_end = self._settled_free(ray)
            finally:
                for author in self._authors:
                    author.process.kill()
        with Store.open(self._url) as store:
            self.outcome.records = [store.get(each.run_id) for each in store.list(limit=10_000)]
        self.outcome.seconds = time.monotonic() - self._begin
        return self.outcome

    def _reign(self, cluster: Any) -> None:
        next_kill = time.monotonic() + 8.0  # until the first drivers have something to lose
        while self._waiting or self._authors:
            while self._waiting and len(self._authors) < AUTHORS:
                self._start(cluster.address)
            self._bury()
            self._bring_back(cluster)
            if time.monotonic() > next_kill and self._may_kill():
                self._kill(cluster)
                next_kill = time.monotonic() + self._random.uniform(*BETWEEN_KILLS_S)
            time.sleep(0.1)
        while self._away:
            self._bring_back(cluster)
            time.sleep(0.1)

    def _start(self, address: str) -> None:
        works = [self._waiting.popleft() for _ in range(min(AT_A_TIME, len(self._waiting)))]
        environment = {**os.environ, "FARM_HOME": str(self._home), "FARM_STORE": self._url}
        self._started += 1
        errors = self._home / f"driver-{self._started}.log"
        with errors.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.driver", address, str(self._home / "runs"), *works],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )
        author = _Author(process, deque(works), errors)
        self._authors.append(author)
        author.listener = threading.Thread(target=self._listen, args=(author,), daemon=True)
        author.listener.start()

    def _listen(self, author: _Author) -> None:
        assert author.process.stdout is not None
        for line in author.process.stdout:
            word, _, rest = line.strip().partition(" ")
            with self._lock:
                if word == "began":
                    author.run_id = rest
                    self.outcome.wanted[rest] = author.works[0].partition(":")[0]
                elif word == "ended":
                    author.run_id = ""
                    author.works.popleft()
                    self._ended += 1
                    self._say(f"ended   {rest}")

    def _bury(self) -> None:
        """Drivers that have ended; what one of them left undone goes to the next, a run it had begun to be resumed."""
        for author in [each for each in self._authors if each.process.poll() is not None]:
            self._authors.remove(author)
            author.listener.join()
            code = author.process.returncode
            if code not in (0, -signal.SIGKILL):
                last = author.errors.read_text(errors="replace").strip().splitlines()[-1:]
                self._say(f"a driver ended with {code} at {author.works[0]}: {''.join(last)[:300]}")
            if author.works and author.run_id:
                kind = author.works.popleft().partition(":")[0]
                self._waiting.append(f"{kind}:{author.run_id}")
            self._waiting.extend(author.works)

    def _may_kill(self) -> bool:
        return self.outcome.kills.total() < AUTHORS + KILLS_A_RUN * self._ended

    def _kill(self, cluster: Any) -> None:
        what = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        with contextlib.suppress(ProcessLookupError):  # it ended by itself in this moment
            told = {"worker": self._kill_worker, "driver": self._kill_driver}.get(what, lambda: "")()
            told = told or (self._kill_raylet(cluster) if what == "raylet" else "")
            if told:
                self.outcome.kills[what] += 1
                self._say(f"KILL    {told}")

    def _kill_worker(self) -> str:
        with self._lock:
            candidates = [each.run_id for each in self._authors if each.run_id and each.run_id not in self._hit]
        if not candidates:
            return ""
        run_id = self._random.choice(sorted(candidates))
        with Store.open(self._url) as store:
            devices = store.get(run_id).devices
        alive = [device for device in devices if _is_worker(device.pid)]
        if not alive:
            return ""
        device = self._random.choice(alive)
        self._hit.add(run_id)
        os.kill(device.pid, signal.SIGKILL)
        return f"worker {device.pid} of run {run_id} on {device.id}"

    def _kill_driver(self) -> str:
        if not self._authors:
            return ""
        busy = [each for each in self._authors if each.run_id] or self._authors
        author = self._random.choice(busy)
        author.process.kill()
        return f"driver {author.process.pid} at {author.run_id or 'nothing begun'}"

    def _kill_raylet(self, cluster: Any) -> str:
        if self._away:
            return ""  # two of three nodes away would only make everybody wait
        number = self._random.choice(sorted(self._nodes))
        cluster.remove_node(self._nodes.pop(number), allow_graceful=False)
        self._away[number] = time.monotonic() + NODE_BACK_S
        return f"raylet of node n{number}"

    def _bring_back(self, cluster: Any) -> None:
        for number, when in list(self._away.items()):
            if time.monotonic() < when:
                continue
            try:
                self._nodes[number] = clusters.add_node(cluster, number, PER_NODE)
            except Exception as error:  # noqa: BLE001  # Ray has no type for a node that is too slow to start
                self._away[number] = time.monotonic() + NODE_BACK_S
                self._say(f"node n{number} did not start: {str(error)[:80]}")
                continue
            del self._away[number]
            self._say(f"node n{number} is back")

    def _settled_free(self, ray: Any) -> int:
        """Free devices, once Ray has noticed that everybody has gone, nodes that were killed among them."""
        end = time.monotonic() + 60
        while ray.available_resources().get("NPU", 0) != NODES * PER_NODE and time.monotonic() < end:
            time.sleep(0.5)
        return int(ray.available_resources().get("NPU", 0))

    def _say(self, text: str) -> None:
        line = f"{time.monotonic() - self._begin:7.1f} s  {text}"
        self.outcome.log.append(line)
        print(line, flush=True)


def _is_worker(pid: int) -> bool:
    """Whether `pid` is a live worker that holds a device: Ray names its processes after the actor's class."""
    with contextlib.suppress(OSError):
        return b"DeviceWorker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def summary(outcome: Outcome) -> list[str]:
    """The outcome in a few lines."""
    verdicts = Counter(record.verdict.value if record.verdict else "none" for record in outcome.records)
    resumed = sum(bool(record.resumed_from) for record in outcome.records)
    attempts = sum(trial.status.value != "ok" for record in outcome.records for trial in record.trials)
    return [
        f"runs      {len(outcome.records)} ({resumed} of them resumed), {outcome.seconds:.0f} s",
        f"killed    {', '.join(f'{count} {what}s' for what, count in sorted(outcome.kills.items()))}",
        f"verdicts  {', '.join(f'{count} {verdict}' for verdict, count in sorted(verdicts.items()))}",
        f"trials    {sum(len(record.trials) for record in outcome.records)}, {attempts} attempts lost or failed",
        f"devices   {outcome.free_at_end} of {outcome.devices} free at the end",
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
