"""Which nodes a run asks for devices: whatever is free, never more than is free, all or none."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.leasing.node_choice import choose

FREE = st.dictionaries(st.sampled_from("abcdefg"), st.integers(-1, 5))


@given(
    free=FREE,
    count=st.integers(1, 40),
    apart=st.booleans(),
    together=st.booleans(),
    avoid=st.sets(st.sampled_from("abc")),
)
def test_all_of_them_from_what_is_free_or_none(
    free: dict[str, int], count: int, apart: bool, together: bool, avoid: set[str]
) -> None:
    chosen = choose(free, count, apart=apart, together=together, avoid=avoid)

    each = Counter(chosen)
    room = sum(max(0, number) for number in free.values())
    if apart:
        room = sum(number > 0 and node not in avoid for node, number in free.items())
        assert set(each.values()) <= {1}
        assert not avoid & set(chosen)
    assert len(chosen) == (count if count <= room else 0)
    assert all(free[node] >= number for node, number in each.items())


@given(free=FREE, count=st.integers(1, 40))
def test_fewer_where_fewer_will_do(free: dict[str, int], count: int) -> None:
    assert len(choose(free, count, fewer=True)) == min(count, sum(max(0, number) for number in free.values()))


@pytest.mark.parametrize(
    ("free", "count", "nodes"),
    [
        ({"a": 8, "b": 3, "c": 4}, 3, {"b": 3}),  # the smallest that has room for all
        ({"a": 2, "b": 3, "c": 1}, 4, {"b": 3, "a": 1}),  # no node has: as few as possible
    ],
)
def test_together_means_few_nodes(free: dict[str, int], count: int, nodes: dict[str, int]) -> None:
    assert Counter(choose(free, count, together=True)) == nodes


def test_else_over_as_many_nodes_as_there_are() -> None:
    assert Counter(choose({"a": 8, "b": 1, "c": 8}, 5)) == {"a": 2, "b": 1, "c": 2}
