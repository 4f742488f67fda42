"""A discrete-event model of one sweep: every device makes the same trials, fed by one driver or several.

What is modelled, as the farm does it (`farm.leasing.lease`, `farm.execution.executor`, `farm.execution.slot_recovery`):

* lease: the head places each device and makes its worker, a device of each node before a second of any; the worker's
  start and canary need a core of its node, and its device takes `open_s`; the driver writes down each canary, one after
  the other, and starts no trial before the last;
* the first worker of a node builds every case, one after the other, as soon as it has started;
* a trial needs a core for `host_s`, then its device for `device_s`, once its case is built on its node;
* a driver works in rounds: take all that has landed, whose tasks are packed, start those devices' next trials, make the
  batch durable, again;
* a fault costs the worker: its slot gets a new one, `AT_ONCE` slots side by side, and the trial is made again, at most
  three times.

Cores are first come, first served. Time is seconds of the model; everything random comes from the scenario's seed.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import simpy

from benchmarks.model_costs import Costs, Scenario
from farm.execution.slot_recovery import AT_ONCE
from farm.model.attempts import MAX_ATTEMPTS

Steps = Generator[simpy.Event, Any, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a sweep."""

    planned: int  # trials
    ended: int  # of them, measured or given up
    lost: int  # of `ended`, given up after the last attempt
    faults: int
    makespan_s: float
    leased_s: float  # from the start until every driver has its devices
    ideal_s: float  # trials' own seconds / devices: no schedule that keeps a trial on one device is shorter
    # Resource → share of the time it was busy, 0 to 1, mean where there are several: the head while devices are leased,
    # everything else from then on (with several drivers: from the first that has its devices).
    use: dict[str, float]

    @property
    def busiest(self) -> str:
        """What is nearest to its limit, the devices themselves apart."""
        return max((name for name in self.use if name != "devices"), key=lambda name: self.use[name])


@dataclass(slots=True)
class _Turn:
    """One planned trial."""

    case: int
    seconds: float  # factor on the scenario's trial times
    attempt: int = 0


@dataclass(slots=True)
class _Node:
    cores: simpy.Resource
    built: dict[int, simpy.Event] = field(default_factory=dict)  # by case; triggered when the build is there


@dataclass(slots=True)
class _Driver:
    """One driver's share."""

    queues: dict[int, list[_Turn]]  # slot → its trials, the next one last
    mender: simpy.Resource
    under_way: int = 0
    mending: int = 0
    landed: list[tuple[int, _Turn, bool]] = field(default_factory=list)  # slot, trial, whether it ran
    mended: list[int] = field(default_factory=list)
    awake: simpy.Event | None = None

    @property
    def going(self) -> bool:
        """Whether anything is still to come."""
        return bool(self.under_way or self.mending or self.landed or self.mended)


class Sweep:
    """One simulation. `run` once."""

    def __init__(self, scenario: Scenario, costs: Costs) -> None:
        self._scenario = scenario
        self._costs = costs
        self._env = simpy.Environment()
        self._random = random.Random(scenario.seed)
        self._nodes = [_Node(simpy.Resource(self._env, scenario.node_cores)) for _ in range(scenario.nodes)]
        self._head = simpy.Resource(self._env, 1)
        self._store = simpy.Resource(self._env, 1)
        self._busy: defaultdict[str, float] = defaultdict(float)  # seconds by resource
        self._count: Counter[str] = Counter()
        self._work_s = 0.0
        self._leased_s = 0.0  # the last driver's lease
        self._began_s = 0.0  # the first driver's
        self._leasing: dict[str, float] | None = None  # busy seconds until then

    def run(self) -> Outcome:
        """Simulate from the request to the last record on disk."""
        drivers = [self._env.process(self._drive(self._share(number))) for number in range(self._scenario.drivers)]
        self._env.run(simpy.AllOf(self._env, drivers))
        leasing = self._leasing or {}
        span = self._env.now - self._began_s
        held = {
            "driver": self._scenario.drivers,
            "store": 1,
            "mender": self._scenario.drivers * AT_ONCE,
            "cores": self._scenario.nodes * self._scenario.node_cores,
            "devices": self._scenario.devices,
        }
        use = {
            name: (self._busy[name] - leasing.get(name, 0.0)) / (span * count) if span else 0.0
            for name, count in held.items()
        }
        use["head"] = leasing.get("head", 0.0) / self._began_s if self._began_s else 0.0
        return Outcome(
            planned=self._scenario.trials,
            ended=self._count["ended"],
            lost=self._count["lost"],
            faults=self._count["faults"],
            makespan_s=self._env.now,
            leased_s=self._leased_s,
            ideal_s=self._work_s / self._scenario.devices,
            use=use,
        )

    def _share(self, number: int) -> _Driver:
        asked = self._scenario
        queues = {slot: self._trials() for slot in range(number, asked.devices, asked.drivers)}
        return _Driver(queues, simpy.Resource(self._env, AT_ONCE))

    def _trials(self) -> list[_Turn]:
        asked = self._scenario
        turns = [
            _Turn(case, 1 + asked.jitter * self._random.uniform(-1, 1))
            for case in range(asked.cases)
            for _ in range(asked.repeats)
        ]
        self._work_s += sum(turn.seconds for turn in turns) * (asked.host_s + asked.device_s)
        return turns[::-1]

    def _drive(self, driver: _Driver) -> Steps:
        yield from self._lease(driver)
        for slot in driver.queues:
            yield from self._start(driver, slot)
        while driver.going:
            if not driver.landed and not driver.mended:
                driver.awake = self._env.event()
                yield driver.awake
            landed, driver.landed = driver.landed, []
            mended, driver.mended = driver.mended, []
            yield from self._spend("driver", self._round_s(driver, len(landed)))
            kept = [self._ended(driver, slot, turn, ran) for slot, turn, ran in landed]
            for slot in [*(slot for slot, idle in kept if idle), *mended]:
                if driver.queues[slot]:
                    yield from self._start(driver, slot)
            write = self._env.process(self._write(len(landed)))
            if not self._scenario.store_apart or not driver.going:
                begun = self._env.now
                yield write
                self._busy["driver"] += self._env.now - begun

    def _lease(self, driver: _Driver) -> Steps:
        """Get the devices and their workers, and write down that each is fit."""
        places = sorted(driver.queues, key=lambda slot: (slot % self._scenario.node_devices, slot))
        starting = [self._env.process(self._begin(slot)) for slot in places]
        for started in starting:
            yield started
            yield from self._spend("driver", self._costs.start_s)
            yield from self._write(1)
        self._leased_s = self._env.now
        if self._leasing is None:
            self._began_s, self._leasing = self._env.now, dict(self._busy)

    def _begin(self, slot: int) -> Steps:
        yield from self._use("head", self._head, self._costs.head_device_s)
        yield from self._use("cores", self._node(slot).cores, self._costs.worker_start_s + self._costs.canary_s)
        yield self._env.timeout(self._scenario.open_s)
        if self._scenario.build_s and not self._node(slot).built:
            node = self._node(slot)
            node.built = {case: self._env.event() for case in range(self._scenario.cases)}
            self._env.process(self._build(node))

    def _build(self, node: _Node) -> Steps:
        for built in node.built.values():
            yield from self._use("cores", node.cores, self._scenario.build_s)
            built.succeed()

    def _start(self, driver: _Driver, slot: int) -> Steps:
        yield from self._spend("driver", self._costs.start_s)
        driver.under_way += 1
        self._env.process(self._trial(driver, slot, driver.queues[slot].pop()))

    def _trial(self, driver: _Driver, slot: int, turn: _Turn) -> Steps:
        asked, node = self._scenario, self._node(slot)
        if asked.build_s and not node.built[turn.case].triggered:
            yield node.built[turn.case]
        yield from self._use("cores", node.cores, asked.host_s * turn.seconds)
        yield self._env.timeout(asked.device_s * turn.seconds)
        self._busy["devices"] += (asked.host_s + asked.device_s) * turn.seconds
        driver.under_way -= 1
        driver.landed.append((slot, turn, self._random.random() >= asked.fault_rate))
        self._wake(driver)

    def _ended(self, driver: _Driver, slot: int, turn: _Turn, ran: bool) -> tuple[int, bool]:
        """The slot, and whether it can have its next trial at once."""
        self._count["faults"] += not ran
        if ran:
            self._count["ended"] += 1
            return slot, True
        if turn.attempt + 1 < MAX_ATTEMPTS:
            driver.queues[slot].append(_Turn(turn.case, turn.seconds, turn.attempt + 1))
        else:
            self._count.update(ended=1, lost=1)
        driver.mending += 1
        self._env.process(self._mend(driver, slot))
        return slot, False

    def _mend(self, driver: _Driver, slot: int) -> Steps:
        """A fresh worker and its canary, on the same device: a sweep moves no trial."""
        with driver.mender.request() as turn:
            yield turn
            begun = self._env.now
            yield from self._begin(slot)
            self._busy["mender"] += self._env.now - begun
        driver.mending -= 1
        driver.mended.append(slot)
        self._wake(driver)

    def _round_s(self, driver: _Driver, landed: int) -> float:
        """Seconds of the driver's thread for a round in which `landed` trials end, their next starts apart."""
        costs, asked = self._costs, self._scenario
        answers = driver.under_way / asked.bulk
        each_s = costs.trial_s - costs.start_s - costs.tasks_s if asked.bulk == 1 else costs.bulk_trial_s
        return costs.round_s + costs.round_device_s * answers + max(0.0, each_s) * landed

    def _write(self, records: int) -> Steps:
        if records:
            yield from self._use("store", self._store, self._costs.store_batch_s + self._costs.store_trial_s * records)

    def _spend(self, who: str, seconds: float) -> Iterator[simpy.Event]:
        self._busy[who] += seconds
        if seconds:
            yield self._env.timeout(seconds)

    def _use(self, who: str, resource: simpy.Resource, seconds: float) -> Steps:
        if not seconds:
            return
        with resource.request() as turn:
            yield turn
            yield from self._spend(who, seconds)

    def _node(self, slot: int) -> _Node:
        return self._nodes[slot // self._scenario.node_devices]

    def _wake(self, driver: _Driver) -> None:
        if driver.awake is not None and not driver.awake.triggered:
            driver.awake.succeed()
