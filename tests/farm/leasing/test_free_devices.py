"""How many devices are free while a lease goes on: all that no trial uses, whatever has become of the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm import paths
from farm.cluster import connection
from farm.errors import InfrastructureError
from farm.execution.observer import Observer
from farm.execution.session import SessionOptions
from farm.leasing.device_groups import DeviceGroups
from farm.leasing.device_lease import PlatformFactory
from farm.leasing.placement import Placement
from farm.model.budgets import Budget
from farm.model.run import RunRecord, RunRequest, Verdict
from farm.model.selection import Selection
from farm.store.run_store import Store
from jobs.records import TrialRecord, TrialStatus
from kernel.platforms.protocol import Probe
from kernel.spec import Tensors
from tests.fakes import platforms
from tests.farm.conftest import DEVICES
from tests.farm.validated import run
from tests.waiting import came_true

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("at_home", "joined_ray")]

HELD, REPEATS = 2, 2
BUDGETS = {"tiny": Budget(ceiling_us=545.0, ratchet_us=None, source="test")}


def free_within(count: int, limit_s: float = 20.0) -> bool:
    """Whether `count` devices are free, at once or within seconds: Ray counts a little late."""
    return came_true(lambda: connection.free_count() == count, limit_s)


@pytest.fixture
def placement() -> Iterator[Placement]:
    made = Placement(Selection(), lambda device: False)
    yield made
    made.close(30.0)
    assert free_within(DEVICES)


def test_one_device_of_several_is_given_back_alone(placement: Placement) -> None:
    places = placement.take(3, lambda: False)
    assert len({place.id for place in places}) == 3
    assert free_within(DEVICES - 3)

    placement.give_back(places[1])
    placement.give_back(places[1])

    assert free_within(DEVICES - 2)
    assert [placement.holds(place) for place in places] == [True, False, True]


def test_a_refused_device_goes_back_once_another_is_found() -> None:
    name = next(iter(connection.nodes().values())).name
    bad = {f"{name}/0", f"{name}/1"}
    placement = Placement(Selection(), bad.__contains__)

    places = placement.take(2, lambda: False)

    assert {place.id for place in places} == {f"{name}/2", f"{name}/3"}
    assert free_within(DEVICES - 2)
    placement.release()
    assert free_within(DEVICES)


def test_who_waits_holds_nothing_so_two_cannot_block_each_other(placement: Placement) -> None:
    """Both want three of four: each could hold two for ever. Both get theirs, one after the other."""
    other = Placement(Selection(), lambda device: False)
    held = placement.take(2, lambda: False)
    assert free_within(DEVICES - 2)
    looked: list[int] = []

    def still(waited: int = 3) -> bool:
        looked.append(connection.free_count())
        return len(looked) < waited

    assert other.take(3, still) == []
    assert set(looked) == {DEVICES - 2}

    for place in held:
        placement.give_back(place)
    got: list[int] = []

    def take_and_release(which: Placement) -> None:
        end = time.monotonic() + 60
        got.append(len(which.take(3, lambda: time.monotonic() < end)))
        which.release()

    both = [threading.Thread(target=take_and_release, args=(which,)) for which in (placement, other)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(90)
    assert got == [3, 3]


def test_a_closed_placement_takes_nothing_more() -> None:
    closed = Placement(Selection(), lambda device: False)
    closed.take(1, lambda: False)
    closed.close(30.0)

    with pytest.raises(Exception, match="the lease was given back"):
        closed.take(1, lambda: False)
    assert free_within(DEVICES)


@pytest.mark.parametrize("attempts", [15, pytest.param(100, marks=pytest.mark.long)])
def test_a_device_given_back_while_ray_places_it_is_not_lost(attempts: int) -> None:
    """Ray loses one in about twenty that are removed within the first milliseconds.

    That none is removed so early is in `test_device_groups`.
    """
    node = next(iter(connection.nodes()))
    for attempt in range(attempts):
        groups = DeviceGroups()
        groups.close(30.0)
        with pytest.raises(InfrastructureError, match="the lease was given back"):
            groups.ask([node], [])
        assert free_within(DEVICES), f"lost at attempt {attempt}"


class Counts(Observer):
    """Sees how many devices are free once the last trial has been measured, before the run is over."""

    def __init__(self) -> None:
        self._measured = 0
        self.all_but_its_own = False

    def measured(self, trial: TrialRecord, kept: bool) -> None:
        self._measured += trial.status is TrialStatus.OK
        if self._measured == HELD * REPEATS:
            self.all_but_its_own = free_within(DEVICES - HELD)


class FailsCanaryOnDevice0(platforms.Honest):
    def probe(self, device: int, directory: Path) -> Probe:
        return Probe(device != 0, "canary: wrong answer" if device == 0 else "canary: right")


class TwoDiesACard(platforms.Honest):
    def card(self, device: int) -> str:
        return str(device // 2)


class DiesOnDevice0(platforms.Honest):
    def disturb(self, outputs: Tensors, device: int) -> None:
        if device == 0:
            platforms.DiesEverywhere().disturb(outputs, device)


@pytest.mark.parametrize("platform", [DiesOnDevice0, TwoDiesACard])
def test_a_device_that_was_left_is_free_while_the_run_goes_on(tmp_path: Path, platform: PlatformFactory) -> None:
    seen = Counts()
    record = validate(platform, tmp_path, seen)

    assert record.verdict is Verdict.PASSED, record.reason
    assert seen.all_but_its_own
    assert free_within(DEVICES)


def test_a_device_that_fails_its_canary_is_passed_over(tmp_path: Path) -> None:
    seen = Counts()
    record = validate(FailsCanaryOnDevice0, tmp_path, seen)

    assert record.verdict is Verdict.PASSED, record.reason
    assert seen.all_but_its_own
    assert 0 not in {device.index for device in record.devices}
    with Store.open(paths.store_url()) as store:
        failed = {device for device, health in store.health("fake").items() if health.failed_last}
    assert {device.rpartition("/")[2] for device in failed} == {"0"}
    assert free_within(DEVICES)


def validate(platform: PlatformFactory, out: Path, observer: Observer) -> RunRecord:
    request = RunRequest(
        kernel="qkv_proj_rope",
        cases=["tiny"],
        platform="fake",
        devices=HELD,
        repeats=REPEATS,
        input_set="documented",
        seed=0,
    )
    return run(request, SessionOptions(out=out, platform=platform, budgets=BUDGETS), observer)
