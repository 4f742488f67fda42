"""Whole sweeps on a real Ray of three nodes with two devices each: the bad device is named and put away."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from farm import cluster, paths
from farm.errors import UsageError
from farm.health import DeviceState
from farm.record import Verdict
from farm.store import Store
from farm.sweep.conduct import SweepOptions, resume, sweep
from farm.sweep.journal import CELLS
from farm.sweep.progress import SweepObserver
from farm.sweep.record import Cell, Kind, SweepRecord, SweepRequest
from farm.worker import PlatformFactory
from kernel.clock import SimulatedUs, WallTime
from kernel.spec import Tensors
from tests.fakes import platforms

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("six_devices")]

NODES, PER_NODE = 3, 2
BAD_NODE, BAD_INDEX = "n1", 1
SEEDS, REPEATS = [0, 1], 2
TRIALS = len(SEEDS) * REPEATS


@pytest.fixture(scope="module")
def cluster_of_six() -> Iterator[None]:
    """A head without devices, and three nodes of two."""
    import ray
    from ray.cluster_utils import Cluster

    logging.getLogger("ray._private.accelerators.npu").setLevel(logging.CRITICAL)
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    for number in range(NODES):
        started.add_node(num_cpus=2, resources={"NPU": PER_NODE}, labels={"farm-node": f"n{number}"})
    ray.init(address=started.address, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()
    started.shutdown()


@pytest.fixture
def six_devices(cluster_of_six: None, at_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six devices nothing is known of."""
    monkeypatch.setenv("FARM_STORE", f"sqlite:///{tmp_path / 'store.sqlite'}")


def planted(device: int) -> bool:
    """Whether this process is on the bad device; asked inside the worker."""
    import ray

    return device == BAD_INDEX and bool(ray.get_runtime_context().get_node_labels().get("farm-node") == BAD_NODE)


class OneFlips(platforms.Honest):
    """One device of the six always gives one other bit."""

    def disturb(self, outputs: Tensors, device: int) -> None:
        if planted(device):
            platforms.flip_lowest_bit(outputs["kv"])


class OneIsUnsteady(platforms.Honest):
    """One device of the six gives other bits on every second run."""

    def disturb(self, outputs: Tensors, device: int) -> None:
        if planted(device) and self.runs % 2:
            platforms.flip_lowest_bit(outputs["kv"])


class OneIsSlow(platforms.Honest):
    """One device of the six takes longer."""

    def wall(self, device: int) -> WallTime:
        return SimulatedUs(platforms.WALL_US + planted(device))


def bad() -> str:
    """The planted device."""
    node = next(node for node in cluster.nodes().values() if node.name.endswith(f"-{BAD_NODE}"))
    return f"{node.name}/{BAD_INDEX}"


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


def test_the_one_bad_device_of_six_is_named_and_quarantined(tmp_path: Path) -> None:
    record = sweep_all(OneFlips, tmp_path / "out")

    (finding,) = record.findings
    assert (record.verdict, finding.kind, finding.confirmed) == (Verdict.ERRORED, Kind.DEVICE_SUSPECT, True)
    assert finding.devices == record.quarantined == [bad()]
    assert {place.output for place in finding.places} == {"kv"}
    assert len(record.devices) == NODES * PER_NODE
    with Store.open(paths.store_url()) as store:
        health = store.health("fake")
    assert [device for device, each in health.items() if each.state is DeviceState.QUARANTINED] == [bad()]
    assert {path.name for path in Path(record.directory).iterdir()} >= {
        "sweep.json",
        "junit.xml",
        "sweep.md",
        "matrix.svg",
        "cells.jsonl",
    }


def test_six_equal_devices_pass(tmp_path: Path) -> None:
    record = sweep_all(platforms.Honest, tmp_path)

    assert (record.verdict, record.findings, record.quarantined) == (Verdict.PASSED, [], [])
    assert len(record.cells) == NODES * PER_NODE * TRIALS
    assert cluster.free_count() == NODES * PER_NODE


def test_an_unsteady_device_is_told_from_a_race(tmp_path: Path) -> None:
    record = sweep_all(OneIsUnsteady, tmp_path, seeds=[0, 1, 2, 3])

    (finding,) = record.findings
    assert (finding.kind, finding.devices, finding.confirmed) == (Kind.DEVICE_SUSPECT, [bad()], True)
    assert record.quarantined == [bad()]


def test_a_slow_device_is_a_finding_and_no_quarantine(tmp_path: Path) -> None:
    record = sweep_all(OneIsSlow, tmp_path)

    (finding,) = record.findings
    assert (record.verdict, finding.kind, finding.devices) == (Verdict.ERRORED, Kind.ODD_TIME, [bad()])
    assert record.quarantined == []


def test_an_interrupted_sweep_goes_on_and_repeats_nothing(tmp_path: Path) -> None:
    first, second = Watcher(stop_after=5), Watcher()

    stopped = sweep_all(platforms.Honest, tmp_path, first)
    with Path(stopped.directory, CELLS).open("ab") as file:
        file.write(b'{"device":"no')  # what a kill in the middle of a write leaves
    done = resume(Path(stopped.directory), SweepOptions(platform=platforms.Honest), second)

    assert stopped.verdict is Verdict.ERRORED
    assert f"--resume {stopped.sweep_id}" in stopped.reason
    assert (done.verdict, done.resumed, done.sweep_id) == (Verdict.PASSED, True, stopped.sweep_id)
    made = [(cell.device, cell.case, cell.seed, cell.repeat) for cell in (*stopped.cells, *second.cells)]
    assert len(made) == len(set(made)) == NODES * PER_NODE * TRIALS


def test_a_sweep_of_another_compiler_is_not_gone_on_with(tmp_path: Path) -> None:
    stopped = sweep_all(platforms.Honest, tmp_path, Watcher(stop_after=1))

    class Newer(platforms.Honest):
        def toolchain(self) -> dict[str, str]:
            return {"fake": "1.1"}

    with pytest.raises(UsageError, match=r"begun with fake 1\.0, here is 1\.1"):
        resume(Path(stopped.directory), SweepOptions(platform=Newer))


def test_a_budget_that_is_over_starts_nothing_and_says_so(tmp_path: Path) -> None:
    record = sweep_all(platforms.Honest, tmp_path, budget_minutes=1e-9)

    assert record.verdict is Verdict.ERRORED
    assert record.cells == []
    assert len(record.not_reached) == NODES * PER_NODE
    assert "budget" in record.not_reached[0].why


def test_a_device_that_dies_is_the_farms_and_the_others_are_compared(tmp_path: Path) -> None:
    record = sweep_all(OneDies, tmp_path)

    (finding,) = record.findings
    assert (record.verdict, finding.kind, finding.devices) == (Verdict.ERRORED, Kind.FARM, [bad()])
    assert {each.device for each in record.not_reached} == {bad()}
    assert len([cell for cell in record.cells if cell.failure is None]) == (NODES * PER_NODE - 1) * TRIALS


class OneDies(platforms.Honest):
    """The process on one device of the six is gone in the middle of every run."""

    def disturb(self, outputs: Tensors, device: int) -> None:
        if planted(device):
            import os

            os._exit(137)


def test_quarantined_devices_are_probed_and_not_swept(tmp_path: Path) -> None:
    sweep_all(OneFlips, tmp_path)

    record = sweep_all(platforms.Honest, tmp_path)

    assert (record.verdict, record.left_out) == (Verdict.PASSED, [bad()])
    assert bad() not in {cell.device for cell in record.cells}
    with Store.open(paths.store_url()) as store:
        before_the_hour = store.health("fake")[bad()]
    assert before_the_hour.state is DeviceState.QUARANTINED


def test_options_are_checked_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="budget"):
        sweep_all(platforms.Honest, replace(SweepOptions(), out=tmp_path / "none").out, budget_minutes=0.0)

    assert not (tmp_path / "none").exists()
