"""Sweeps on a real Ray of two nodes with three devices each: bad devices are named and put away, others go first.

`test_workflow.py` has what a sweep concludes and keeps, on devices that are threads.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from farm import paths
from farm.cluster import connection
from farm.leasing.lease import Lease
from farm.leasing.queue_client import QueueClient
from farm.model.device_health import DeviceState
from farm.model.priority import Priority
from farm.model.run import Verdict
from farm.model.selection import Selection
from farm.model.sweep import Cell, Kind
from farm.store.run_store import Store
from farm.sweep.observer import SweepObserver
from kernel.clock import SimulatedUs, WallTime
from kernel.platforms.protocol import Probe
from kernel.spec import Tensors
from tests.clusters import cluster
from tests.fakes import platforms
from tests.farm.swept import REPEATS, SEEDS, health_of, sweep_all

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("six_devices")]

NODES, PER_NODE = 2, 3
UNSTEADY, SLOW, DYING, UNFIT = "n1/1", "n1/2", "n0/0", "n0/2"
SWEPT = 2  # by the sweep that gives way


@pytest.fixture(scope="module")
def cluster_of_six() -> Iterator[None]:
    """A head without devices, and two nodes of three."""
    with cluster(NODES, PER_NODE):
        yield


@pytest.fixture
def six_devices(cluster_of_six: None, at_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six devices nothing is known of."""
    monkeypatch.setenv("FARM_STORE", f"sqlite:///{tmp_path / 'store.sqlite'}")


def on(device: int, *planted: str) -> bool:
    """Whether this process is on one of the `planted` devices ("n1/1"); asked inside the worker."""
    import ray

    return f"{ray.get_runtime_context().get_node_labels().get('farm-node')}/{device}" in planted


class FourAreBad(platforms.Honest):
    """One device gives other bits on every second run, one is slow, one kills its process, one fails its canary."""

    def disturb(self, outputs: Tensors, device: int) -> None:
        if on(device, UNSTEADY) and self.runs % 2:
            platforms.flip_lowest_bit(outputs["kv"])
        if on(device, DYING):
            os._exit(137)

    def wall(self, device: int) -> WallTime:
        return SimulatedUs(platforms.WALL_US + on(device, SLOW))

    def probe(self, device: int, directory: Path) -> Probe:
        return Probe(not on(device, UNFIT), "fake canary")


class TakesItsTime(platforms.Honest):
    """Right, after a while."""

    def disturb(self, outputs: Tensors, device: int) -> None:
        time.sleep(1.0)


def name(planted: str) -> str:
    """The id of a planted device in the cluster."""
    label, index = planted.split("/")
    return next(f"{node.name}/{index}" for node in connection.nodes().values() if node.name.endswith(f"-{label}"))


def test_troubles_of_four_devices_are_told_apart_and_the_next_sweep_leaves_out_two(tmp_path: Path) -> None:
    record = sweep_all(FourAreBad, tmp_path, seeds=[0, 1, 2, 3])
    before = {device: health_of(device) for device in record.quarantined}
    second = sweep_all(platforms.Honest, tmp_path)

    assert record.verdict is Verdict.ERRORED
    assert {(each.kind, *each.devices) for each in record.findings} == {
        (Kind.DEVICE_SUSPECT, name(UNSTEADY)),
        (Kind.ODD_TIME, name(SLOW)),
        (Kind.FARM, name(DYING)),
    }
    assert set(record.quarantined) == {name(UNSTEADY), name(DYING)}
    reasons = {each.device: each.why for each in record.not_reached}
    assert reasons.keys() == {name(DYING), name(UNFIT)}
    assert "canary failed" in reasons[name(UNFIT)]
    assert "device faults in a row" in reasons[name(DYING)]
    assert health_of(name(SLOW)).state is DeviceState.HEALTHY
    assert (second.verdict, second.left_out, second.findings) == (Verdict.PASSED, sorted(before), [])
    assert len(second.cells) == (NODES * PER_NODE - 2) * len(SEEDS) * REPEATS
    for device, health in before.items():
        assert health_of(device).last_event_at > health.last_event_at, "its canary was run all the same"
    assert connection.free_count() == NODES * PER_NODE


class Guest(SweepObserver):
    """With the sweep's first trial a person comes who wants the devices that are swept, for a moment."""

    def __init__(self) -> None:
        self.cells: list[Cell] = []
        self.waves: list[list[str]] = []
        self.cells_when_served = -1
        self.thread = threading.Thread(target=self.visit)

    def took(self, devices: Sequence[str]) -> None:
        self.waves.append(list(devices))

    def measured(self, cell: Cell) -> None:
        self.cells.append(cell)
        if len(self.cells) == 1:
            self.thread.start()

    def visit(self) -> None:
        line = QueueClient(Priority.INTERACTIVE, "a person", shared=True)
        with Store.open(paths.store_url()) as store, connection.connected(None, simulated=True) as head:
            cache, wanted = str(paths.cache()), Selection(devices=self.waves[0])
            lease = Lease(platforms.Honest, "fake", cache, store, line, wanted, {}, head, witnesses=False)
            try:
                lease.acquire(SWEPT, wait_s=90.0)
                self.cells_when_served = len(self.cells)
            finally:
                lease.release()


def test_a_sweep_gives_way_between_two_trials_and_goes_on_afterwards(tmp_path: Path) -> None:
    guest = Guest()

    record = sweep_all(TakesItsTime, tmp_path, guest, seeds=[0, 1, 2, 3], devices=SWEPT)
    guest.thread.join()

    assert record.verdict is Verdict.PASSED
    assert len(guest.cells) == len(record.cells) == SWEPT * 4 * REPEATS
    assert 0 < guest.cells_when_served < len(guest.cells), "served before the sweep was over"
    assert len(guest.waves) > 1
