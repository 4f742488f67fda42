"""Parts of a JSON file as a stream: the same values as a whole reading gives, wherever the pieces are cut."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.harness.json_stream import JsonStreamError, members

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class Dribble(io.BytesIO):
    """A file whose reads give a few bytes each."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(3)


def of(content: object, *wanted: str) -> list[tuple[str, Any]]:
    return list(members(Dribble(json.dumps(content).encode()), wanted))


@given(before=JSON, value=JSON.filter(lambda value: not isinstance(value, list)), after=JSON)
def test_a_member_between_others_is_what_json_makes_of_it(before: Any, value: Any, after: Any) -> None:
    assert of({"a": before, "b": value, "c": after}, "b") == [("b", value)]


@given(st.lists(JSON, max_size=5), JSON)
def test_an_array_comes_element_by_element(elements: list[Any], after: Any) -> None:
    assert of({"rows": elements, "x": after}, "rows") == [("rows", each) for each in elements]


def test_a_nested_member_is_found_by_its_path() -> None:
    content = {"records": [0], "tasks": {"schema": 1, "records": [[1], [2]]}, "deep": {"tasks": {"records": [3]}}}

    assert of(content, "tasks/records") == [("tasks/records", [1]), ("tasks/records", [2])]


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 1', '{"a": [1, ', '{"a" 1}', '{"a": nope}', "{1: 2}", '{"b": "x'])
def test_what_is_no_whole_object_is_refused(text: str) -> None:
    with pytest.raises(JsonStreamError):
        list(members(io.BytesIO(text.encode()), ("a",)))


def test_what_is_passed_over_is_not_held_in_memory() -> None:
    """A file far larger than what may be held: only its last member is wanted."""

    class Phases(io.RawIOBase):
        def __init__(self) -> None:
            self.sent, self.largest = 0, 0

        def read(self, size: int = -1, /) -> bytes:
            self.largest = max(self.largest, size)
            self.sent += 1
            if self.sent == 1:
                return b'{"phases": [0'
            return b', {"kind": "idle"}' * 1000 if self.sent < 200 else b'], "version": 2}' if self.sent == 200 else b""

    phases = Phases()

    assert list(members(phases, ("version",))) == [("version", 2)]  # type: ignore[arg-type]
    assert 0 < phases.largest <= 1 << 20
