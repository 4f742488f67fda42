"""Which devices a sweep leases where one of its hosts is overloaded: those of the others, and nobody is blamed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from farm.cluster.connection import Node
from farm.model.device_health import Health
from farm.model.selection import Selection
from farm.model.timeouts import Timeouts
from farm.process.start_limit import HostOverloadedError
from farm.sweep import devices as devices_module
from farm.sweep.devices import SweepDevices

NODES = {name: Node(name, name, "127.0.0.1", 2) for name in ("n0", "n1")}
ASKED = SimpleNamespace(kernel="k", cases=["tiny", "large"], platform="fake", input_set="documented", seed=3)


class Leases:
    """In place of `Lease`: a worker on `n0` never starts."""

    asked: ClassVar[list[list[str]]] = []
    ahead: ClassVar[list[str]] = []
    released = 0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        [selection] = [each for each in arguments if isinstance(each, Selection)]
        self._devices = list(selection.devices)
        self.asked.append(self._devices)
        self.ahead[:] = [request.case for request in named["ahead"]]

    def acquire(self, count: int, wait_s: float) -> None:
        if any(each.startswith("n0/") for each in self._devices):
            raise HostOverloadedError("n0", "the worker of n0/0", 240.0, None, "n0")

    def release(self) -> None:
        type(self).released += 1


class Book:
    """Every device is well."""

    def health(self, platform: str) -> dict[str, Health]:
        return {}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> SweepDevices:
    monkeypatch.setattr(devices_module, "Lease", Leases)
    monkeypatch.setattr("farm.cluster.connection.nodes", lambda: NODES)
    monkeypatch.setattr("farm.cluster.connection.free_count", lambda: 4)
    Leases.asked.clear()
    Leases.released = 0
    resolved: Any = SimpleNamespace(
        platform=SimpleNamespace(name="fake"),
        factory=object,
        simulated=True,
        self_validating=False,
        worker=None,
        request=ASKED,
    )
    nothing: Any = Book()
    return SweepDevices(resolved, nothing, nothing, Timeouts(), None, nothing)


def test_the_devices_of_an_overloaded_host_are_left_out_and_not_called_unfit(bench: SweepDevices) -> None:
    every = bench.present()

    with bench.take(every) as first:
        assert first is None
    with bench.take(every) as second:
        assert second is not None

    assert Leases.asked == [["n0/0", "n1/0", "n0/1", "n1/1"], ["n1/0", "n1/1"]]
    assert Leases.released == 2
    assert bench.out_of_service().keys() == {"n0/0", "n0/1"}
    assert "host n0 is overloaded" in bench.out_of_service()["n0/0"]
    assert bench.unfit == {}
    assert bench.spares([]) == ["n1/0", "n1/1"]


def test_every_case_is_built_on_each_node_while_devices_are_leased(bench: SweepDevices) -> None:
    with bench.take(["n1/0"]):
        assert Leases.ahead == ["tiny", "large"]
