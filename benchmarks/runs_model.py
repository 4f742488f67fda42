"""A discrete-event model of many small runs on a shared farm, each with a driver of its own.

Runs come by chance (Poisson), `rate` a second. Each waits in a queue, first come first served, for its devices. The
head places them and makes their workers; the workers start, run their canaries, build, and make the trials; then the
devices are given back. Drivers share the head, the store and the nodes' cores and nothing else, so the farm is full
when the devices are, or before that when one of the three is.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import simpy

from benchmarks.model_costs import Costs, Scenario

DEVICES_A_RUN = 3
# Durable steps of a run besides its trials: begun, built, devices seen, the verdict; and one canary a device.
STORE_STEPS = 4 + DEVICES_A_RUN

Steps = Generator[simpy.Event, Any, Any]


@dataclass(frozen=True, slots=True)
class Served:
    """How the runs fared that came while the farm was open."""

    arrived: int
    wait_s: tuple[float, ...]  # of each run, from its arrival to its devices, in the order they got them
    run_s: tuple[float, ...]  # of each run, from its devices to its verdict, in the order they ended
    use: dict[str, float]  # resource → share of the time it was busy, 0 to 1; devices: held by a run


class Runs:
    """One simulation. `run` once."""

    def __init__(self, scenario: Scenario, costs: Costs, rate: float, open_s: float) -> None:
        """`rate` runs a second come for `open_s` seconds; those that have come are served to the end."""
        self._scenario = scenario
        self._costs = costs
        self._rate = rate
        self._open_s = open_s
        self._env = simpy.Environment()
        self._random = random.Random(scenario.seed)
        self._devices = simpy.Container(self._env, scenario.devices, init=scenario.devices)
        self._cores = simpy.Resource(self._env, scenario.nodes * scenario.node_cores)
        self._head = simpy.Resource(self._env, 1)
        self._store = simpy.Resource(self._env, 1)
        self._busy: defaultdict[str, float] = defaultdict(float)
        self._arrived = 0
        self._wait_s: list[float] = []
        self._run_s: list[float] = []

    def run(self) -> Served:
        """Simulate until the last run has its verdict."""
        self._env.process(self._arrive())
        self._env.run()
        span = self._env.now or 1.0
        held = {"head": 1, "store": 1, "cores": self._cores.capacity, "devices": self._scenario.devices}
        use = {name: self._busy[name] / (span * count) for name, count in held.items()}
        return Served(self._arrived, tuple(self._wait_s), tuple(self._run_s), use)

    def _arrive(self) -> Steps:
        while True:
            yield self._env.timeout(self._random.expovariate(self._rate))
            if self._env.now > self._open_s:
                return
            self._arrived += 1
            self._env.process(self._one())

    def _one(self) -> Steps:
        came = self._env.now
        yield self._devices.get(DEVICES_A_RUN)
        began = self._env.now
        self._wait_s.append(began - came)
        yield simpy.AllOf(self._env, [self._env.process(self._begin()) for _ in range(DEVICES_A_RUN)])
        yield from self._write(STORE_STEPS, 0)
        yield from self._use("cores", self._cores, self._scenario.build_s)
        yield simpy.AllOf(self._env, [self._env.process(self._trials()) for _ in range(DEVICES_A_RUN)])
        self._busy["devices"] += (self._env.now - began) * DEVICES_A_RUN
        self._run_s.append(self._env.now - began)
        yield self._devices.put(DEVICES_A_RUN)

    def _begin(self) -> Steps:
        yield from self._use("head", self._head, self._costs.head_device_s)
        yield from self._use("cores", self._cores, self._costs.worker_start_s + self._costs.canary_s)
        yield self._env.timeout(self._scenario.open_s)

    def _trials(self) -> Steps:
        asked = self._scenario
        for _ in range(asked.cases * asked.repeats):
            factor = 1 + asked.jitter * self._random.uniform(-1, 1)
            yield self._env.timeout(self._costs.trial_s)
            yield from self._use("cores", self._cores, asked.host_s * factor)
            yield self._env.timeout(asked.device_s * factor)
            yield from self._write(1, 1)

    def _write(self, batches: int, records: int) -> Steps:
        seconds = self._costs.store_batch_s * batches + self._costs.store_trial_s * records
        yield from self._use("store", self._store, seconds)

    def _use(self, who: str, resource: simpy.Resource, seconds: float) -> Steps:
        if not seconds:
            return
        with resource.request() as turn:
            yield turn
            self._busy[who] += seconds
            yield self._env.timeout(seconds)
