"""A history of numbers as one line of bars."""

from __future__ import annotations

from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"


def bar(value: float, low: float, high: float) -> str:
    """The bar of `value` between `low` and `high`; a middling one where those are equal."""
    return _BARS[round((value - low) / (high - low) * (len(_BARS) - 1))] if high > low else _BARS[3]


def sparkline(values: Sequence[float]) -> str:
    """One bar a value, from the lowest to the highest of them; "" for none."""
    return "".join(bar(value, min(values), max(values)) for value in values)
