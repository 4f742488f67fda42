"""Kinds of microseconds that must never meet: what a cost model computed, what a device took, what a host took.

Comparing or averaging them is the commonest way a kernel benchmark lies, so it is a `TypeError` here.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from kernel.errors import NotATimeError


def is_time(us: object) -> bool:
    """Return whether `us` is a time: a finite number above 0."""
    if isinstance(us, bool) or not isinstance(us, (int, float)):
        return False
    try:
        return math.isfinite(us) and us > 0
    except OverflowError:  # an integer beyond the range of FP64
        return False


class Clock(str, enum.Enum):
    """Where a wall time comes from."""

    SIMULATED = "simulated"  # a cost model's prediction: exact, the same on every call
    MEASURED = "measured"  # a device's own time: noisy


@dataclass(frozen=True, slots=True)
class WallTime:
    """A wall-clock time in µs; use one of the subclasses, which compare only with their own kind."""

    us: float

    def __post_init__(self) -> None:
        """Raise `NotATimeError` for a value that is not a time: a division of two counters that never ran gives NaN."""
        if not is_time(self.us):
            raise NotATimeError(f"{self.us!r:.40} µs is no time; a time is finite and above 0")

    @property
    def clock(self) -> Clock:
        """The clock this time was read from."""
        raise TypeError("a wall time is either SimulatedUs or MeasuredUs")

    def _same_clock(self, other: object) -> WallTime:
        if type(other) is not type(self):
            raise TypeError(f"{type(self).__name__} and {type(other).__name__} are different yardsticks")
        assert isinstance(other, WallTime)
        return other

    def __lt__(self, other: object) -> bool:
        return self.us < self._same_clock(other).us

    def __le__(self, other: object) -> bool:
        return self.us <= self._same_clock(other).us

    def __sub__(self, other: object) -> float:
        return self.us - self._same_clock(other).us


class SimulatedUs(WallTime):
    """µs predicted by a cost model."""

    __slots__ = ()

    @property
    def clock(self) -> Clock:
        """Always simulated."""
        return Clock.SIMULATED


class MeasuredUs(WallTime):
    """µs read on a device."""

    __slots__ = ()

    @property
    def clock(self) -> Clock:
        """Always measured."""
        return Clock.MEASURED


class HostUs(WallTime):
    """µs a functional simulator took on the host's CPU. It shows that it ran, and ranks nothing.

    It has no clock, because no gate has one for it: asking for it is a `TypeError`.
    """

    __slots__ = ()

    @property
    def clock(self) -> Clock:
        """Raises `TypeError`."""
        raise TypeError("the host's CPU time is nobody's wall time and is never gated")


def wall_time(us: float, clock: Clock) -> WallTime:
    """`us` as the type of its clock, for values that come back from a file."""
    return SimulatedUs(us) if clock is Clock.SIMULATED else MeasuredUs(us)
