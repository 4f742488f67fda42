"""What the model is fed with: costs that `benchmarks.costs` has measured, and assumptions about what could not be.

Every measured cost comes from a file with the machine it was measured on and with how it was measured. An assumption
is a field of `Scenario` with the comment "assumed"; `benchmarks.model` varies those that decide something.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

MEASURED = Path(__file__).with_name("costs.json")


class CostsError(ValueError):
    """The file of measured costs lacks one, or has none that can be used."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of one thing done once. Of the driver: CPU time of its main thread; of a node or the head: CPU time."""

    start_s: float  # driver: hand one trial to its worker
    trial_s: float  # driver: one trial from there to its record weighed, `start_s` included
    tasks_s: float  # the part of `trial_s` for objects of the record's tasks, which now come packed
    round_s: float  # driver: one round of its loop, whatever has landed
    round_device_s: float  # the same, more for each device with a trial under way
    bulk_trial_s: float  # driver: one record of eight that one answer brings, all of the driver's work but the weighing
    store_batch_s: float  # store: one batch of records and health events made durable, however many
    store_trial_s: float  # the same, more for each record of the batch
    head_device_s: float  # head: one device placed and its worker made and ended
    worker_start_s: float  # node: a worker's imports
    canary_s: float  # node: the canary of a2a3sim in a fresh process
    sim_trial_s: float  # node: one trial of flash-s2 on a2a3sim
    sim_build_s: float  # node: its build

    @classmethod
    def load(cls, path: Path = MEASURED) -> Costs:
        """The costs in `path`. Raises `CostsError`."""
        told = json.loads(path.read_text())["costs"]
        missing = [each.name for each in fields(cls) if each.name not in told]
        if missing:
            raise CostsError(f"{path} has no {', '.join(missing)}; run python -m benchmarks.costs")
        wrong = [each.name for each in fields(cls) if not float(told[each.name]["seconds"]) >= 0]
        if wrong:
            raise CostsError(f"{path}: {', '.join(wrong)} must be 0 s or more")
        return cls(**{each.name: float(told[each.name]["seconds"]) for each in fields(cls)})


@dataclass(frozen=True, slots=True)
class Scenario:
    """A farm and its work."""

    devices: int
    cases: int = 1
    repeats: int = 3
    host_s: float = 3.0  # of a node's core for each trial; assumed for a2a3, measured for a2a3sim
    device_s: float = 0.001  # of the device for each trial; assumed for a2a3, none for a2a3sim
    jitter: float = 0.1  # trials take (1 ± jitter) of that, evenly spread; assumed
    build_s: float = 10.0  # of a core, once a case and node; assumed for a2a3
    open_s: float = 5.0  # until a fresh worker has opened its device; assumed for a2a3, none for a2a3sim
    node_devices: int = 8
    node_cores: int = 32  # assumed; servers with eight NPUs have more
    fault_rate: float = 1e-4  # of trials that cost the worker; assumed
    drivers: int = 1  # each has an equal share of the devices
    store_apart: bool = False  # a writer of its own takes the records; the driver does not wait for it
    bulk: int = 1  # records in one answer to the driver; more than 1 needs a collector on each node
    seed: int = 0

    @property
    def trials(self) -> int:
        """Planned, warm-ups apart."""
        return self.devices * self.cases * self.repeats

    @property
    def nodes(self) -> int:
        """Full ones, and one for the rest."""
        return -(-self.devices // self.node_devices)
