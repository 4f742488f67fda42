"""What a change to a published JSON Schema of ours breaks for those who read or keep the files.

Two readers are thought of: a program written against the released schema that reads new files, and a new farm that
reads old files. Between them nothing may change but this: a property may be added that is not required. A value added
to a closed set breaks a reader that lists them all, so it counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]
_WORDS = {"title", "description", "default", "$schema", "$id", "version", "$defs"}  # constrain nothing
_STRUCTURE = {"properties", "required", "enum", "items", "additionalProperties", "anyOf", "$ref"}


def breakages(released: Schema, now: Schema) -> list[str]:
    """One line for each thing that breaks a reader, by its place in the file; empty for a compatible change."""
    return list(_Comparison(released, now).of(released, now, "report"))


class _Comparison:
    """Two documents side by side; a pair of definitions is looked at once, however often it is used."""

    def __init__(self, released: Schema, now: Schema) -> None:
        self._documents = (released, now)
        self._seen: set[tuple[str, str]] = set()

    def of(self, old: Schema, new: Schema, place: str) -> Iterator[str]:
        """What differs below `place`."""
        pair = (old.get("$ref", ""), new.get("$ref", ""))
        if pair[0] and pair[1]:
            if pair in self._seen:
                return
            self._seen.add(pair)
        old, new = self._resolved(old, 0), self._resolved(new, 1)
        for keyword in sorted((old.keys() | new.keys()) - _WORDS - _STRUCTURE):
            if old.get(keyword) != new.get(keyword):
                yield f"{place}: {keyword} is {new.get(keyword, 'gone')}, was {old.get(keyword, 'not there')}"
        yield from _values(old.get("enum", []), new.get("enum", []), place)
        yield from self._properties(old, new, place)
        yield from self._choices(old.get("anyOf", []), new.get("anyOf", []), place)
        for keyword, mark in (("items", "[]"), ("additionalProperties", ".*")):
            yield from self._nested(old.get(keyword), new.get(keyword), f"{place}{mark}")

    def _properties(self, old: Schema, new: Schema, place: str) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        required, requires = set(old.get("required", [])), set(new.get("required", []))
        for name in before:
            if name not in after:
                yield f"{place}.{name}: gone"
            else:
                yield from self.of(before[name], after[name], f"{place}.{name}")
        yield from (f"{place}.{name}: new and required, old files lack it" for name in sorted(requires - set(before)))
        kept = set(before) & set(after)
        yield from (f"{place}.{name}: required now" for name in sorted((requires - required) & kept))
        yield from (f"{place}.{name}: no longer always there" for name in sorted((required - requires) & kept))

    def _choices(self, old: list[Schema], new: list[Schema], place: str) -> Iterator[str]:
        if len(old) != len(new):
            yield f"{place}: {len(new)} kinds of value, were {len(old)}"
            return
        for before, after in zip(old, new, strict=True):
            yield from self.of(before, after, place)

    def _nested(self, old: Any, new: Any, place: str) -> Iterator[str]:
        if isinstance(old, dict) and isinstance(new, dict):
            yield from self.of(old, new, place)
        elif old != new:
            yield f"{place}: {'restricted' if isinstance(old, dict) else 'changed'}"

    def _resolved(self, schema: Schema, side: int) -> Schema:
        reference = schema.get("$ref")
        if reference is None:
            return schema
        found: Schema = self._documents[side]["$defs"][str(reference).removeprefix("#/$defs/")]
        return found


def _values(old: list[Any], new: list[Any], place: str) -> Iterator[str]:
    yield from (f"{place}: value {value!r} is gone" for value in old if value not in new)
    if old:
        yield from (f"{place}: value {value!r} is new in a closed set" for value in new if value not in old)
