"""Chooses the nodes whose free devices a run asks for. Pure: it sees numbers and returns names."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Mapping


def choose(
    free: Mapping[str, int],
    count: int,
    *,
    apart: bool = False,
    together: bool = False,
    avoid: Collection[str] = (),
    fewer: bool = False,
) -> list[str]:
    """Return one node for each of `count` devices; empty where there are not enough.

    Args:
        free: Node → free devices on it.
        count: Devices wanted.
        apart: Each device on a node of its own, none of them in `avoid`.
        together: On as few nodes as possible. Otherwise on as many as possible.
        avoid: Nodes that have a device of the run already.
        fewer: Whether fewer than `count` are better than none.
    """
    left = {node: 1 if apart else number for node, number in free.items() if number > 0}
    if apart:
        left = {node: number for node, number in left.items() if node not in avoid}
    there = sum(left.values())
    if there < count and not fewer:
        return []
    wanted = min(count, there)
    return _packed(left, wanted) if together else _spread(left, wanted)


def _packed(left: Mapping[str, int], count: int) -> list[str]:
    """The smallest node that has room for all; else the largest ones."""
    roomy = [node for node, number in left.items() if number >= count]
    if roomy:
        return [min(roomy, key=lambda node: (left[node], node))] * count
    chosen: list[str] = []
    for node in sorted(left, key=lambda node: (-left[node], node)):
        chosen += [node] * min(left[node], count - len(chosen))
    return chosen


def _spread(left: Mapping[str, int], count: int) -> list[str]:
    chosen: Counter[str] = Counter()
    # The least used node first, of those the one with the most left: a heap, for thousands of devices on as many nodes.
    waiting = [(0, -number, node) for node, number in left.items()]
    heapq.heapify(waiting)
    for _ in range(count):
        used, _, node = heapq.heappop(waiting)
        chosen[node] = used + 1
        if chosen[node] < left[node]:
            heapq.heappush(waiting, (chosen[node], chosen[node] - left[node], node))
    return list(chosen.elements())
