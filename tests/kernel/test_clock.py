"""Times of different kinds never meet, and the host's CPU time has no clock that a gate could ask for."""

from __future__ import annotations

import pytest

from kernel.clock import HostUs, MeasuredUs, SimulatedUs, WallTime


@pytest.mark.parametrize("other", [SimulatedUs(1.0), MeasuredUs(1.0)])
def test_host_time_compares_with_no_other(other: WallTime) -> None:
    with pytest.raises(TypeError, match="different yardsticks"):
        _ = HostUs(2.0) - other
    with pytest.raises(TypeError, match="different yardsticks"):
        _ = other < HostUs(2.0)


def test_host_time_has_no_clock() -> None:
    with pytest.raises(TypeError, match="never gated"):
        _ = HostUs(2.0).clock
