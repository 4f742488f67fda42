"""Merge counts by PyPTO task group, the form in which PyPTO is told how many equal tasks to merge into one.

PyPTO numbers the groups of equally built tasks in the order in which it meets them; -1 stands for every other group.
With equal splits of D, group 0 is both projections over D and group 1 the q-proj.
"""

from __future__ import annotations

from kernel.errors import TuningError


def parse_groups(key: str, text: str) -> dict[int, int]:
    """ "-1:1,1:6" as {-1: 1, 1: 6}. Raises `TuningError` naming knob `key`."""
    try:
        pairs = [pair.split(":") for pair in text.split(",")]
        return {int(group): int(count) for group, count in pairs}
    except ValueError:
        raise TuningError(f"tuning key '{key}' cannot read {text!r}; write group:count pairs, as -1:1,1:6") from None
