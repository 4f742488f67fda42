"""Whole sweeps on devices that are threads: the odd device is named and put away, and nothing is measured twice.

`test_on_ray.py` has what only a cluster shows.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from farm import paths
from farm.errors import UsageError
from farm.model.device_health import DeviceState, EventKind, HealthEvent
from farm.model.run import Verdict
from farm.model.sweep import Cell, Kind
from farm.store.run_store import Store
from farm.sweep.journal import CELLS
from farm.sweep.observer import SweepObserver
from farm.sweep.workflow import SweepOptions, resume
from farm.timestamps import now
from kernel.spec import Tensors
from tests.fakes import platforms
from tests.farm.swept import REPEATS, SEEDS, health_of, sweep_all
from tests.farm.thread_lease import ThreadDevices, without_ray

pytestmark = pytest.mark.usefixtures("on_threads")

BAD = "n1/1"
TRIALS = len(SEEDS) * REPEATS


@pytest.fixture
def on_threads(at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six devices that are threads, of which nothing is known."""
    without_ray(monkeypatch)


def on(device: int, *planted: str) -> bool:
    """Whether a platform's `device` is one of the `planted`."""
    return ThreadDevices.NAMES[device] in planted


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


class Newer(platforms.Honest):
    """Built with another compiler."""

    def toolchain(self) -> dict[str, str]:
        return {"fake": "1.1"}


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
    suspect = health_of(BAD)
    with Store.open(paths.store_url()) as store:
        store.observe([HealthEvent(BAD, "fake", now(), EventKind.VOTE_LOST, "lost on another kernel as well")])
    quarantined = health_of(BAD)
    second = sweep_all(platforms.Honest, tmp_path / "out")

    (finding,) = first.findings
    assert (first.verdict, finding.kind, finding.confirmed) == (Verdict.ERRORED, Kind.UNDECIDED, True)
    assert (finding.devices, first.quarantined) == ([BAD], [])
    assert suspect.state is DeviceState.SUSPECT
    assert "either the card computes wrongly or the kernel depends on the device" in suspect.why
    assert {place.output for place in finding.places} == {"kv"}
    assert {cell.repeat for cell in first.cells if cell.device == BAD} == set(range(2 * REPEATS))
    looked_again = {cell.device for cell in first.cells if cell.repeat >= REPEATS}
    assert len(looked_again) == 2, "the suspect, and a steady device beside it"
    assert len(first.devices) == len(ThreadDevices.NAMES)
    assert quarantined.state is DeviceState.QUARANTINED
    assert {path.name for path in Path(first.directory).iterdir()} >= {"sweep.json", "junit.xml", "sweep.md"}
    assert (second.verdict, second.left_out, second.findings) == (Verdict.PASSED, [BAD], [])
    assert BAD not in {cell.device for cell in second.cells}
    assert len(second.cells) == (len(ThreadDevices.NAMES) - 1) * TRIALS
    assert health_of(BAD).last_event_at > quarantined.last_event_at, "its canary was run all the same"


def test_a_card_beside_the_plan_finds_out_a_kernel_that_depends_on_the_device(tmp_path: Path) -> None:
    record = sweep_all(DependsOnTheDevice, tmp_path / "out", devices=3)

    assert record.planned == ["n0/0", "n1/0", "n2/0"]
    assert {each.id for each in record.devices} == {*record.planned, "n0/1"}
    assert (record.verdict, [each.kind for each in record.findings]) == (Verdict.FAILED, [Kind.DEPENDS_ON_DEVICE])
    assert health_of("n1/0").state is DeviceState.HEALTHY


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
    assert len(made) == len(set(made)) == len(ThreadDevices.NAMES) * TRIALS


def test_a_budget_that_is_over_starts_nothing_and_says_so(tmp_path: Path) -> None:
    record = sweep_all(platforms.Honest, tmp_path, budget_minutes=1e-9)

    assert record.verdict is Verdict.ERRORED
    assert record.cells == []
    assert len(record.not_reached) == len(ThreadDevices.NAMES)
    assert "budget" in record.not_reached[0].why
