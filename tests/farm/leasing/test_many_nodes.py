"""Runs on a real Ray of several nodes: where devices are taken from, who goes first, and what a lost node costs."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from farm import paths
from farm.cluster import connection
from farm.errors import CapacityError, InfrastructureError, UsageError
from farm.execution.observer import Observer
from farm.execution.session import SessionOptions
from farm.leasing import preemption, queue_client
from farm.leasing.allocation import DeviceAllocation
from farm.leasing.device_lease import PlatformFactory
from farm.leasing.device_queue import QueueEntry
from farm.leasing.placement import Placement, at_once
from farm.model.budgets import Budget
from farm.model.device_health import EventKind, HealthEvent
from farm.model.priority import Priority
from farm.model.run import RunRecord, RunRequest, Verdict
from farm.model.selection import Selection, Spread
from farm.store.run_store import Store
from farm.timestamps import now
from jobs.records import TrialRecord
from tests import clusters
from tests.clusters import cluster
from tests.fakes import platforms
from tests.fakes.platforms import TakesASecond
from tests.farm.validated import run
from tests.processes import importing_tests
from tests.waiting import came_true, until

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("at_home", "nodes")]

BUDGETS = {"tiny": Budget(ceiling_us=545.0, ratchet_us=None, source="test")}
NODES, PER_NODE = 2, 2


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A head without devices, and two nodes of two: one with soc=old, one with soc=new."""
    with importing_tests(), cluster() as started:  # some drivers are other processes
        for number in range(NODES):
            add_node(started, number)
        yield started


def add_node(started: Any, number: int) -> Any:
    return clusters.add_node(started, number, PER_NODE, soc="old" if number == 0 else "new")


def name(number: int) -> str:
    return next(node.name for node in connection.nodes().values() if node.name.endswith(f"-n{number}"))


def validate(
    platform: PlatformFactory,
    out: Path,
    *,
    devices: int,
    repeats: int = 2,
    wait_s: float = 0.0,
    priority: Priority = Priority.INTERACTIVE,
    observer: Observer | None = None,
    selection: Selection | None = None,
) -> RunRecord:
    request = RunRequest(
        kernel="qkv_proj_rope",
        cases=["tiny"],
        platform="fake",
        devices=devices,
        repeats=repeats,
        input_set="documented",
        seed=0,
        priority=priority,
        selection=selection or Selection(),
    )
    return run(request, SessionOptions(out=out, wait_s=wait_s, platform=platform, budgets=BUDGETS), observer)


class TwoDiesACard(platforms.Honest):
    """Devices 0 and 1 of a node are one card."""

    def card(self, device: int) -> str:
        return str(device // 2)


@contextlib.contextmanager
def taken(count: int, selection: Selection, refused: Collection[str] = ()) -> Iterator[list[DeviceAllocation]]:
    """Devices as a lease takes them, before any worker is started on them."""
    placement = Placement(selection, refused.__contains__)
    placement.require(count)
    try:
        yield placement.take(count, at_once())
    finally:
        placement.close(30.0)


def test_each_device_on_a_node_of_its_own() -> None:
    with taken(NODES, Selection(spread=Spread.NODES)) as places:
        assert {place.node.name for place in places} == {name(0), name(1)}
        assert [place.index for place in places] == [0, 0]


def test_more_than_there_are_nodes_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match="3 devices asked for, nodes that can give one are 2"):
        validate(platforms.Honest, tmp_path, devices=3, selection=Selection(spread=Spread.NODES))
    assert not list(tmp_path.glob("20*"))


def test_by_label_and_by_node() -> None:
    with taken(2, Selection(soc="new")) as by_label, taken(1, Selection(nodes=[name(0)])) as by_node:
        assert {place.node.name for place in by_label} == {name(1)}
        assert {place.node.name for place in by_node} == {name(0)}


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"soc": "newest"}, "no node has the label soc=newest; labels here: new, old"),
        ({"nodes": ["elsewhere"]}, "no node 'elsewhere' with NPUs"),
        ({"devices": ["elsewhere/0"]}, "no device 'elsewhere/0'"),
    ],
)
def test_what_nobody_has_is_one_clear_line(tmp_path: Path, selection: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        validate(platforms.Honest, tmp_path, devices=1, selection=Selection(**selection))


def test_named_devices_and_no_others() -> None:
    chosen = {f"{name(0)}/1", f"{name(1)}/1"}

    with taken(2, Selection(devices=sorted(chosen))) as places:
        assert {place.id for place in places} == chosen
    assert wait_for_free(NODES * PER_NODE)


def test_two_dies_of_one_card_are_one_witness(tmp_path: Path) -> None:
    """That a device of another card is taken in place of one is in `test_free_devices`."""
    with pytest.raises(InfrastructureError, match="is on the same card as"):
        validate(TwoDiesACard, tmp_path, devices=PER_NODE, selection=Selection(nodes=[name(1)]))
    assert wait_for_free(NODES * PER_NODE)


def test_a_quarantined_device_gets_no_work(tmp_path: Path) -> None:
    bad = f"{name(1)}/0"
    with Store.open(paths.store_url()) as store:
        store.observe([HealthEvent(bad, "fake", now(), EventKind.QUARANTINED, "smells of smoke")])

    record = validate(platforms.Honest, tmp_path, devices=1, repeats=1, selection=Selection(nodes=[name(1)]))

    assert [device.id for device in record.devices] == [f"{name(1)}/1"]
    with pytest.raises(CapacityError, match="1 more are quarantined"):
        validate(platforms.Honest, tmp_path, devices=4)


class Waits(Observer):
    """Notes when its run waited, and has something happen once it has measured."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.ahead: list[list[QueueEntry]] = []
        self.first = threading.Event()
        self._then = then

    def waiting(self, ahead: list[QueueEntry], waited_s: float) -> None:
        self.ahead.append(ahead)

    def measured(self, trial: TrialRecord, kept: bool) -> None:
        if not self.first.is_set():
            self.first.set()
            self._then()


def until_another_waits() -> None:
    until(queue_client.waiting, what="another run that waits")


@contextlib.contextmanager
def under_way(*arguments: Any, **more: Any) -> Iterator[tuple[Waits, list[RunRecord]]]:
    """A run on both devices of a node that has measured, goes on once another waits, and is over after the block."""
    seen, records = Waits(until_another_waits), []
    running = threading.Thread(
        target=lambda: records.append(validate(*arguments, **more, devices=PER_NODE, observer=seen))
    )
    running.start()
    assert seen.first.wait(60)
    yield seen, records
    running.join(120)
    assert len(records) == 1


def test_a_nightly_run_yields_between_two_trials_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preemption, "ASK_EVERY_S", 0.0)
    there = Selection(nodes=[name(1)])

    nightly = under_way(platforms.Honest, tmp_path, repeats=4, priority=Priority.NIGHTLY, selection=there)
    with nightly as (night, records):
        interactive = validate(platforms.Honest, tmp_path, devices=PER_NODE, repeats=1, wait_s=60, selection=there)
        still_running = not records

    assert still_running
    assert interactive.verdict is Verdict.PASSED
    assert interactive.queue_s > 0
    assert [(record.verdict, record.failures) for record in records] == [(Verdict.PASSED, [])], records[0].reason
    assert len(records[0].trials) == 4 * PER_NODE
    assert {trial.attempt for trial in records[0].trials} == {0}
    assert night.ahead
    assert queue_client.waiting() == []


def test_an_interactive_run_does_not_yield(tmp_path: Path) -> None:
    there = Selection(nodes=[name(1)])

    with under_way(platforms.Honest, tmp_path, repeats=3, selection=there) as (first, records):
        merge = validate(
            platforms.Honest,
            tmp_path,
            devices=1,
            repeats=1,
            wait_s=60,
            priority=Priority.MERGE_QUEUE,
            selection=there,
        )

    assert merge.verdict is Verdict.PASSED
    assert records[0].queue_s < merge.queue_s
    assert not first.ahead


HOLD = """
import sys, time
from farm.execution.resolved_run import resolve
from farm.execution.session import SessionOptions, leased
from farm.model.run import RunRequest
from tests.fakes import platforms
request = RunRequest(kernel="qkv_proj_rope", cases=["tiny"], platform="fake", devices=2, repeats=1,
                     input_set="documented", seed=0)
with leased(resolve(request, factory=platforms.Honest), SessionOptions(address=sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_dead_owner_frees_its_devices(tmp_path: Path, nodes: Any) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, nodes.address], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert any(said.strip() == "held" for said in holder.stdout)
        with pytest.raises(CapacityError, match="free now are 2"):
            validate(platforms.Honest, tmp_path, devices=3)
        holder.kill()

    assert wait_for_free(NODES * PER_NODE)


def test_a_killed_raylet_costs_trials_and_no_verdict(tmp_path: Path, nodes: Any) -> None:
    extra = add_node(nodes, NODES)
    until(lambda: connection.free_count() == (NODES + 1) * PER_NODE)
    doomed = name(NODES)
    seen = Waits(lambda: nodes.remove_node(extra, allow_graceful=False))
    there = Selection(nodes=[name(1), doomed])

    record = validate(TakesASecond, tmp_path, devices=2, observer=seen, selection=there)

    lost = [trial for trial in record.trials if trial.failure]
    assert record.verdict is Verdict.PASSED
    assert {trial.device.rpartition("/")[0] for trial in lost} == {doomed}
    assert {trial.failure.fault.value for trial in lost if trial.failure} == {"node"}
    assert wait_for_free(NODES * PER_NODE)


def wait_for_free(count: int) -> bool:
    """Ray frees a device some tenths of a second after its worker has ended."""
    return came_true(lambda: connection.free_count() == count, 30)
