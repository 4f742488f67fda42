"""Whole sweeps on a real Ray of three nodes with two devices each: the bad device is named and put away."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from farm import paths
from farm.cluster import connection
from farm.errors import UsageError
from farm.leasing.device_lease import PlatformFactory
from farm.leasing.lease import Lease
from farm.leasing.queue_client import QueueClient
from farm.model.device_health import DeviceState, EventKind, Health, HealthEvent
from farm.model.priority import Priority
from farm.model.run import Verdict
from farm.model.selection import Selection
from farm.model.sweep import Cell, Kind, SweepRecord, SweepRequest
from farm.store.run_store import Store
from farm.sweep.journal import CELLS
from farm.sweep.observer import SweepObserver
from farm.sweep.workflow import SweepOptions, resume, sweep
from farm.timestamps import now
from kernel.clock import SimulatedUs, WallTime
from kernel.platforms.protocol import Probe
from kernel.spec import Tensors
from tests.clusters import cluster
from tests.fakes import platforms

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("six_devices")]

NODES, PER_NODE = 3, 2
BAD = "n1/1"
UNSTEADY, SLOW, DYING, UNFIT = "n1/1", "n2/0", "n0/0", "n2/1"
SEEDS, REPEATS = [0, 1], 2
TRIALS = len(SEEDS) * REPEATS


@pytest.fixture(scope="module")
def cluster_of_six() -> Iterator[None]:
    """A head without devices, and three nodes of two."""
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


class OneFlips(platforms.Honest):
    """One device of the six always gives one other bit."""

    def disturb(self, outputs: Tensors, device: int) -> None:
        if on(device, BAD):
            platforms.flip_lowest_bit(outputs["kv"])


class DependsOnTheDevice(platforms.Honest):
    """A program with other bits on two cards of two nodes."""

    def disturb(self, outputs: Tensors, device: int) -> None:
        if on(device, "n1/0", "n0/1"):
            platforms.flip_lowest_bit(outputs["kv"])


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


class Newer(platforms.Honest):
    """Built with another compiler."""

    def toolchain(self) -> dict[str, str]:
        return {"fake": "1.1"}


def name(planted: str) -> str:
    """The id of a planted device in the cluster."""
    label, index = planted.split("/")
    return next(f"{node.name}/{index}" for node in connection.nodes().values() if node.name.endswith(f"-{label}"))


def health_of(device: str) -> Health:
    with Store.open(paths.store_url()) as store:
        return store.health("fake")[device]


def sweep_all(
    platform: PlatformFactory, out: Path, observer: SweepObserver | None = None, **changes: Any
) -> SweepRecord:
    asked = SweepRequest(
        kernel="qkv_proj_rope",
        cases=["tiny"],
        platform="fake",
        seeds=SEEDS,
        repeats=REPEATS,
        input_set="documented",
    )
    options = SweepOptions(out=out, platform=platform, budget_minutes=changes.pop("budget_minutes", 10.0))
    return sweep(asked.model_copy(update=changes), options, observer)


class Watcher(SweepObserver):
    """Remembers the cells, and can stop the sweep after some of them as Ctrl-C would."""

    def __init__(self, stop_after: int = -1) -> None:
        self.cells: list[Cell] = []
        self.stop_after = stop_after

    def measured(self, cell: Cell) -> None:
        self.cells.append(cell)
        if len(self.cells) == self.stop_after:
            raise KeyboardInterrupt


def test_the_one_odd_device_of_six_is_named_and_left_out_once_another_kernel_has_spoken(tmp_path: Path) -> None:
    first = sweep_all(OneFlips, tmp_path / "out")
    suspect = health_of(name(BAD))
    with Store.open(paths.store_url()) as store:
        store.observe([HealthEvent(name(BAD), "fake", now(), EventKind.VOTE_LOST, "lost on another kernel as well")])
    quarantined = health_of(name(BAD))
    second = sweep_all(platforms.Honest, tmp_path / "out")

    (finding,) = first.findings
    assert (first.verdict, finding.kind, finding.confirmed) == (Verdict.ERRORED, Kind.UNDECIDED, True)
    assert (finding.devices, first.quarantined) == ([name(BAD)], [])
    assert suspect.state is DeviceState.SUSPECT
    assert "either the card computes wrongly or the kernel depends on the device" in suspect.why
    assert {place.output for place in finding.places} == {"kv"}
    assert {cell.repeat for cell in first.cells if cell.device == name(BAD)} == set(range(2 * REPEATS))
    looked_again = {cell.device for cell in first.cells if cell.repeat >= REPEATS}
    assert len(looked_again) == 2, "the suspect, and a steady device beside it"
    assert len(first.devices) == NODES * PER_NODE
    assert quarantined.state is DeviceState.QUARANTINED
    assert {path.name for path in Path(first.directory).iterdir()} >= {"sweep.json", "junit.xml", "sweep.md"}
    assert (second.verdict, second.left_out, second.findings) == (Verdict.PASSED, [name(BAD)], [])
    assert name(BAD) not in {cell.device for cell in second.cells}
    assert len(second.cells) == (NODES * PER_NODE - 1) * TRIALS
    assert health_of(name(BAD)).last_event_at > quarantined.last_event_at, "its canary was run all the same"
    assert connection.free_count() == NODES * PER_NODE


def test_a_card_beside_the_plan_finds_out_a_kernel_that_depends_on_the_device(tmp_path: Path) -> None:
    record = sweep_all(DependsOnTheDevice, tmp_path / "out", devices=3)

    assert record.planned == [name("n0/0"), name("n1/0"), name("n2/0")]
    assert {each.id for each in record.devices} == {*record.planned, name("n0/1")}
    assert (record.verdict, [each.kind for each in record.findings]) == (Verdict.FAILED, [Kind.DEPENDS_ON_DEVICE])
    assert health_of(name("n1/0")).state is DeviceState.HEALTHY


def test_troubles_of_four_devices_are_told_apart(tmp_path: Path) -> None:
    record = sweep_all(FourAreBad, tmp_path, seeds=[0, 1, 2, 3])

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


def test_an_interrupted_sweep_goes_on_and_repeats_nothing(tmp_path: Path) -> None:
    first, second = Watcher(stop_after=5), Watcher()

    stopped = sweep_all(platforms.Honest, tmp_path, first)
    with Path(stopped.directory, CELLS).open("ab") as file:
        file.write(b'{"device":"no')  # what a kill in the middle of a write leaves
    with pytest.raises(UsageError, match=r"begun with fake 1\.0, here is 1\.1"):
        resume(Path(stopped.directory), SweepOptions(platform=Newer))
    done = resume(Path(stopped.directory), SweepOptions(platform=platforms.Honest), second)

    assert stopped.verdict is Verdict.ERRORED
    assert f"`farm sweep --resume {stopped.sweep_id} --out {tmp_path}`" in stopped.reason
    assert (done.verdict, done.resumed, done.sweep_id) == (Verdict.PASSED, True, stopped.sweep_id)
    made = [(cell.device, cell.case, cell.seed, cell.repeat) for cell in (*stopped.cells, *second.cells)]
    assert len(made) == len(set(made)) == NODES * PER_NODE * TRIALS


class Guest(Watcher):
    """With the sweep's first trial a person comes who wants every device, for a moment."""

    def __init__(self) -> None:
        super().__init__()
        self.waves: list[str] = []
        self.cells_when_served = -1
        self.thread = threading.Thread(target=self.visit)

    def took(self, devices: Sequence[str]) -> None:
        self.waves.append(" ".join(devices))

    def measured(self, cell: Cell) -> None:
        super().measured(cell)
        if len(self.cells) == 1:
            self.thread.start()

    def visit(self) -> None:
        line = QueueClient(Priority.INTERACTIVE, "a person", shared=True)
        with Store.open(paths.store_url()) as store, connection.connected(None, simulated=True) as head:
            cache = str(paths.cache())
            lease = Lease(platforms.Honest, "fake", cache, store, line, Selection(), {}, head, witnesses=False)
            try:
                lease.acquire(NODES * PER_NODE, wait_s=90.0)
                self.cells_when_served = len(self.cells)
            finally:
                lease.release()


def test_a_sweep_gives_way_between_two_trials_and_goes_on_afterwards(tmp_path: Path) -> None:
    guest = Guest()

    record = sweep_all(TakesItsTime, tmp_path, guest, seeds=[0, 1, 2, 3])
    guest.thread.join()

    assert record.verdict is Verdict.PASSED
    assert len(guest.cells) == len(record.cells) == NODES * PER_NODE * 4 * REPEATS
    assert 0 < guest.cells_when_served < len(guest.cells), "served before the sweep was over"
    assert len(guest.waves) > 1


def test_a_budget_that_is_over_starts_nothing_and_says_so(tmp_path: Path) -> None:
    record = sweep_all(platforms.Honest, tmp_path, budget_minutes=1e-9)

    assert record.verdict is Verdict.ERRORED
    assert record.cells == []
    assert len(record.not_reached) == NODES * PER_NODE
    assert "budget" in record.not_reached[0].why
