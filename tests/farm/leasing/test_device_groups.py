"""When a device's group is removed: never while Ray may be placing it, for Ray would lose the device then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from farm.cluster import head_call
from farm.errors import InfrastructureError
from farm.leasing import device_groups
from farm.leasing.device_groups import DeviceGroups


class Group:
    """A group of Ray's that notes in `calls` what happens to it."""

    def __init__(self, calls: list[str]) -> None:
        self._calls = calls

    def wait(self, timeout_seconds: int) -> bool:
        self._calls.append("wait")
        return True


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    noted: list[str] = []

    def create(bundles: Any, strategy: str, bundle_label_selector: Any) -> Group:
        noted.append("create")
        return Group(noted)

    monkeypatch.setattr(device_groups, "placement_group", create)
    monkeypatch.setattr(device_groups, "remove_placement_group", lambda group: noted.append("remove"))
    return noted


def test_a_group_that_is_asked_for_after_the_end_is_waited_for_and_then_removed(calls: list[str]) -> None:
    groups = DeviceGroups()
    groups.close(30.0)

    with pytest.raises(InfrastructureError, match="the lease was given back"):
        groups.ask(["n0"], [])

    assert calls == ["create", "wait", "remove"]
    assert groups.all() == []


def test_one_that_was_placed_is_removed_at_once(calls: list[str]) -> None:
    groups = DeviceGroups()
    [group] = groups.ask(["n0"], [])

    groups.remove([group])
    groups.remove([group])

    assert calls == ["create", "wait", "remove"]


def test_thousands_of_devices_have_longer_to_be_placed_than_three(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []

    def bounded(doing: str, call: Callable[..., Any], *arguments: Any, limit_s: float) -> Any:
        limits.append(limit_s)
        return call(*arguments)

    monkeypatch.setattr(head_call, "bounded", bounded)

    for count in (3, 3000):
        groups = DeviceGroups()
        groups.remove(groups.ask([f"n{number}" for number in range(count)], []))

    few, many = limits[:3], limits[3:]
    assert all(30 <= each < 31 for each in few)
    assert all(each >= 30 + 100 for each in many)
