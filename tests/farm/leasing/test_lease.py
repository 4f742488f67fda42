"""Slots of one lease that lose their workers at the same time, without Ray: a worker here is a name."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest

from farm.cluster.connection import Node
from farm.errors import InfrastructureError
from farm.leasing import lease as lease_module
from farm.leasing.allocation import DeviceAllocation
from farm.leasing.device_jobs import Ready
from farm.leasing.device_lease import Replaced
from farm.leasing.lease import Lease
from farm.model.device_health import Health, HealthEvent
from farm.model.selection import Selection, Spread
from farm.process import installation
from farm.process.start_limit import HostOverloadedError
from jobs.records import ProbeRecord

SLOTS = (0, 1)


class Devices:
    """A cluster's devices in place of Ray's placement: what is free, and what is held."""

    apart = False  # whether each device must be on a node of its own
    meeting: threading.Barrier | None = None  # of two who ask at the same time, if nothing keeps them apart

    def __init__(self, nodes: Sequence[str]) -> None:
        """A device on each of `nodes`; a name twice is a node with two."""
        index: Counter[str] = Counter()
        self.free: list[DeviceAllocation] = []
        for name in nodes:
            node = Node(id=name, name=name, address="127.0.0.1", npus=nodes.count(name))
            group: Any = f"group of {name}/{index[name]}"
            self.free.append(DeviceAllocation(group, node, index[name]))
            index[name] += 1
        self.held: list[DeviceAllocation] = []
        self.lost: set[str] = set()
        self.passed_over: list[str] = []  # nodes
        self.refused: Callable[[str], bool] = lambda device: False
        self._one = threading.Lock()

    def require(self, count: int) -> None:
        """There are always enough."""

    def take(self, count: int, go_on: Any, beside: Iterable[DeviceAllocation] = ()) -> list[DeviceAllocation]:
        avoid = {place.node.id for place in beside} if self.apart else set()
        if self.meeting is not None and count == 1:
            with contextlib.suppress(threading.BrokenBarrierError):
                self.meeting.wait(timeout=0.2)
        with self._one:
            avoid = {*avoid, *self.passed_over}
            fit = [each for each in self.free if not self.refused(each.id) and each.node.id not in avoid]
            taken = fit[:count] if len(fit) >= count else []
            self.free = [each for each in self.free if each not in taken]
            self.held += taken
        return taken

    def pass_over(self, node_id: str) -> None:
        self.passed_over.append(node_id)

    def release(self) -> None:
        for place in list(self.held):
            self.give_back(place)

    def still_there(self, place: DeviceAllocation) -> bool:
        return self.holds(place) and place.id not in self.lost

    def holds(self, place: DeviceAllocation) -> bool:
        return place in self.held

    def give_back(self, place: DeviceAllocation) -> None:
        with self._one:
            if place in self.held:
                self.held.remove(place)
                self.free += [place] if place.id not in self.lost else []


class Workers:
    """Workers that are ready once as many of them as `meeting` wants wait together."""

    cards: Mapping[str, str]
    overloaded: Set[str] = frozenset()  # nodes that start nothing in time
    unfit: Set[str] = frozenset()  # devices that fail their canary
    begun: ClassVar[list[str]]  # the device of every worker that was started
    meeting: threading.Barrier | None = None

    def __init__(self, *_: Any) -> None:
        self._started: dict[int, str] = {}

    @property
    def slots(self) -> list[int]:
        return sorted(self._started)

    def start(self, slot: int, place: DeviceAllocation) -> None:
        self._started[slot] = place.id
        self.begun.append(place.id)

    def stop(self, slots: Iterable[int]) -> None:
        for slot in slots:
            self._started.pop(slot, None)

    def ready(self, slot: int, place: DeviceAllocation) -> Ready:
        if self.meeting is not None:
            self.meeting.wait(timeout=60)
        if place.node.id in self.overloaded:
            raise HostOverloadedError(place.node.name, f"the worker of {place.id}", 240.0, None, place.node.id)
        probe = ProbeRecord(device=place.index, healthy=place.id not in self.unfit, detail="", probe_s=0.0)
        return Ready("", self.cards.get(place.id, place.id), 1, probe, installation.current())


class Book:
    """Nobody has any history."""

    def __init__(self) -> None:
        self.noted: list[HealthEvent] = []

    def health(self, platform: str) -> Mapping[str, Health]:
        return {}

    def identify(self, platform: str, device: str, identity: str) -> Health:
        return Health()

    def observe(self, events: Sequence[HealthEvent]) -> None:
        self.noted += events


class Line:
    """Nobody is ahead."""

    def ahead(self, count: int) -> list[Any]:
        return []

    def leave(self) -> None:
        """Nothing to leave."""


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Workers]]:
    class Fresh(Workers):
        cards: Mapping[str, str] = {}
        begun: ClassVar[list[str]] = []

    monkeypatch.setattr(lease_module, "Workers", Fresh)
    yield Fresh


def leased(
    monkeypatch: pytest.MonkeyPatch,
    devices: Devices,
    spread: Spread = Spread.ANY,
    book: Book | None = None,
    count: int = len(SLOTS),
) -> Lease:
    def placement(selection: Selection, refuse: Callable[[str], bool], **_: Any) -> Devices:
        devices.refused = refuse
        return devices

    monkeypatch.setattr(lease_module, "Placement", placement)
    platform: Any = object
    head: Any = None
    line: Any = Line()
    made = Lease(platform, "sim", "", book or Book(), line, Selection(spread=spread), {}, head, witnesses=True)
    made.acquire(count, 0.0)
    return made


def replaced_at_once(lease: Lease) -> list[Replaced | InfrastructureError]:
    def one(slot: int) -> Replaced | InfrastructureError:
        try:
            return lease.replace(slot)
        except InfrastructureError as error:
            return error

    with ThreadPoolExecutor(len(SLOTS)) as pool:
        return list(pool.map(one, SLOTS))


def test_two_slots_are_replaced_side_by_side(monkeypatch: pytest.MonkeyPatch, workers: type[Workers]) -> None:
    devices = Devices(["a", "a", "b", "b"])
    lease = leased(monkeypatch, devices)
    workers.meeting = threading.Barrier(len(SLOTS))  # each canary waits for the other slot's

    assert replaced_at_once(lease) == [Replaced(True, ""), Replaced(True, "")]

    assert {lease.device(slot).id for slot in SLOTS} == {"b/0", "b/1"}
    assert [place.id for place in devices.held] == ["b/0", "b/1"]
    assert len(lease.held) == 4


def test_of_two_slots_that_come_to_one_card_one_keeps_it(
    monkeypatch: pytest.MonkeyPatch, workers: type[Workers]
) -> None:
    devices = Devices(["a", "b", "c", "c", "d"])
    lease = leased(monkeypatch, devices)
    workers.cards = {"c/0": "one", "c/1": "one"}
    devices.lost = {"a/0", "b/0"}  # with no canary on them, both slots come to `c` at the same time
    arrived = threading.Barrier(len(SLOTS))
    ready, first = workers.ready, set(SLOTS)

    def together(self: Workers, slot: int, place: DeviceAllocation) -> Ready:
        if slot in first:
            first.discard(slot)
            arrived.wait(timeout=60)
        return ready(self, slot, place)

    monkeypatch.setattr(workers, "ready", together)

    assert replaced_at_once(lease) == [Replaced(True, ""), Replaced(True, "")]

    held = {lease.device(slot).id for slot in SLOTS}
    assert "d/0" in held
    assert len(held & {"c/0", "c/1"}) == 1


def test_a_slot_that_has_left_its_device_keeps_nobody_off_its_card(
    monkeypatch: pytest.MonkeyPatch, workers: type[Workers]
) -> None:
    workers.cards = {"a/0": "one", "a/1": "one"}
    devices = Devices(["a", "b", "a", "c"])
    lease = leased(monkeypatch, devices)
    assert [lease.device(slot).id for slot in SLOTS] == ["a/0", "b/0"]
    devices.lost = {"a/0", "b/0"}
    [second, third] = devices.free
    devices.free = [third]
    starting, go_on = threading.Event(), threading.Event()
    ready = workers.ready

    def held_up(self: Workers, slot: int, place: DeviceAllocation) -> Ready:
        if slot == 0:
            starting.set()
            go_on.wait(60)
        return ready(self, slot, place)

    monkeypatch.setattr(workers, "ready", held_up)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(lease.replace, 0)
        starting.wait(60)
        devices.free.append(second)
        try:
            assert lease.replace(1).moved
        finally:
            go_on.set()
        assert first.result(60).moved

    assert [lease.device(slot).id for slot in SLOTS] == ["c/0", "a/1"]


def test_slots_that_must_be_on_nodes_of_their_own_do_not_take_the_same_node(
    monkeypatch: pytest.MonkeyPatch, workers: type[Workers]
) -> None:
    devices = Devices(["a", "b", "c", "c", "d"])
    devices.apart = True
    devices.meeting = threading.Barrier(len(SLOTS))
    lease = leased(monkeypatch, devices, Spread.NODES)
    workers.meeting = threading.Barrier(len(SLOTS))

    assert replaced_at_once(lease) == [Replaced(True, ""), Replaced(True, "")]

    assert {lease.device(slot).node for slot in SLOTS} == {"c", "d"}


def test_a_device_without_a_spare_is_given_back_and_the_other_slot_goes_on(
    monkeypatch: pytest.MonkeyPatch, workers: type[Workers]
) -> None:
    devices = Devices(["a", "b", "c"])
    lease = leased(monkeypatch, devices)
    devices.lost = {"a/0", "b/0"}
    devices.free = []

    answers = replaced_at_once(lease)

    assert all("is lost and no other is free" in str(answer) for answer in answers)
    assert devices.held == []


def test_a_slot_that_stays_keeps_the_worker_that_has_passed_its_canary(
    monkeypatch: pytest.MonkeyPatch, workers: type[Workers]
) -> None:
    devices, book = Devices(["a", "b"]), Book()
    lease = leased(monkeypatch, devices, book=book)
    workers.begun.clear()
    book.noted.clear()

    assert lease.replace(0) == Replaced(False, "")

    assert workers.begun == ["a/0"]
    assert [event.device for event in book.noted] == ["a/0"]
    assert lease.slots == list(SLOTS)
    assert [place.id for place in devices.held] == ["a/0", "b/0"]


def test_a_slot_that_moves_starts_one_worker_on_each_device(
    monkeypatch: pytest.MonkeyPatch, workers: type[Workers]
) -> None:
    lease = leased(monkeypatch, Devices(["a", "b", "c"]))
    workers.begun.clear()

    assert lease.replace(0) == Replaced(True, "")

    assert workers.begun == ["a/0", "c/0"]


def test_a_device_that_fails_its_canary_is_left_without_a_spare(
    monkeypatch: pytest.MonkeyPatch, workers: type[Workers]
) -> None:
    devices = Devices(["a", "b"])
    lease = leased(monkeypatch, devices)
    workers.unfit = {"a/0"}

    with pytest.raises(InfrastructureError, match="device a/0 fails its canary and no other is free"):
        lease.replace(0)

    assert lease.slots == [1]
    assert [place.id for place in devices.held] == ["b/0"]


def test_a_host_that_cannot_start_workers_is_named_and_no_device_is_blamed(
    monkeypatch: pytest.MonkeyPatch, workers: type[Workers]
) -> None:
    devices, book = Devices(["a", "a", "a"]), Book()
    workers.overloaded = {"a"}

    with pytest.raises(HostOverloadedError, match="host a is overloaded") as refused:
        leased(monkeypatch, devices, book=book)

    assert refused.value.host == "a"
    assert workers.begun == ["a/0", "a/1"], "no other device of the same host is tried"
    assert book.noted == []
    assert devices.held == []


def test_a_device_of_another_host_is_taken_where_one_cannot_start_workers(
    monkeypatch: pytest.MonkeyPatch, workers: type[Workers]
) -> None:
    devices, book = Devices(["a", "b", "b"]), Book()
    workers.overloaded = {"a"}

    lease = leased(monkeypatch, devices, book=book)

    assert {lease.device(slot).id for slot in SLOTS} == {"b/0", "b/1"}
    assert {event.device for event in book.noted} == {"b/0", "b/1"}
    assert sorted(place.id for place in devices.held) == ["b/0", "b/1"]


def test_a_renewed_slot_that_had_to_move_says_why(monkeypatch: pytest.MonkeyPatch, workers: type[Workers]) -> None:
    devices = Devices(["a", "b", "c", "d"])
    lease = leased(monkeypatch, devices)

    stays = lease.renew(0)
    workers.unfit = {"a/0"}
    unfit = lease.renew(0)
    workers.overloaded = {"b"}
    overloaded = lease.renew(1)

    assert stays is None
    assert unfit == Replaced(True, "a/a/0")
    assert overloaded == Replaced(True, "")


def test_workers_are_started_on_each_node_before_a_second_on_any(
    monkeypatch: pytest.MonkeyPatch, workers: type[Workers]
) -> None:
    leased(monkeypatch, Devices(["a", "a", "b", "b"]), count=4)

    assert workers.begun == ["a/0", "b/0", "a/1", "b/1"]
