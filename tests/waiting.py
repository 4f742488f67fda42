"""The one place where tests wait: for a condition, and for a time only where a fault lasts so long."""

from __future__ import annotations

import time
from collections.abc import Callable

_LOOK_EVERY_S = 0.05


def came_true(condition: Callable[[], object], within_s: float = 60.0) -> bool:
    """Whether `condition` came true within `within_s` seconds."""
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True


def until(condition: Callable[[], object], within_s: float = 60.0, what: str = "the condition") -> None:
    """Wait until `condition` is true. Fails the test after `within_s` seconds."""
    assert came_true(condition, within_s), f"{what} did not come true within {within_s:g} s"


def lasting(seconds: float) -> None:
    """Let a fault that the caller has made, and undoes next, last for `seconds`."""
    time.sleep(seconds)
