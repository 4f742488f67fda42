"""Adds a landed time to the text of a budget file. Everything else in it stays as it is, comments included."""

from __future__ import annotations

import math

import tomlkit
from tomlkit.items import Array

_TICKS_IN_US = 1000  # landed times are rounded up to 1 ns, so that the time itself is within its limit


def rounded_up(us: float) -> float:
    """Return a simulated time as a budget file has it: rounded up to 1 ns."""
    return math.ceil(round(us * _TICKS_IN_US, 6)) / _TICKS_IN_US


def with_landed(text: str, platform: str, case: str, us: float, reason: str) -> str:
    """Return the budget file `text` with `us` as the last landed time of `case` on `platform`, which is then in force.

    A file that has no table for the case gets one.
    """
    document = tomlkit.parse(text)
    cases = document.setdefault(platform, tomlkit.table(is_super_table=True))
    entry = cases.setdefault(case, tomlkit.table())
    landed = entry.setdefault("landed", tomlkit.array())
    added = tomlkit.parse("each = { us = 0.0, reason = '' }")["each"]
    added["us"], added["reason"] = rounded_up(us), tomlkit.string(reason)
    _append(landed, added)
    return tomlkit.dumps(document)


def _append(landed: Array, added: object) -> None:
    if "\n" in landed.as_string():
        landed.add_line(added, indent="    ")
    else:
        landed.append(added)
