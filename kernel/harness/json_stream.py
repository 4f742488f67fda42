"""Reads parts of a large JSON file without holding the file in memory.

A task record grows by about 10 MB a second of simulated run, nearly all of it scheduler phases that nobody reads here.
Values that are not wanted are passed over without being decoded.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO

_CHUNK_BYTES = 1 << 20
_MOST_VALUE_CHARACTERS = 8 << 20  # of one decoded value; a task has some hundred, the metadata some thousand
_SPACE = re.compile(r"[ \t\n\r]*")
_TO_BRACKET = re.compile(r'[^\[\]{}"]*(?:"[^"\\]*"[^\[\]{}"]*)*')  # over plain strings and scalars, to what nests
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SCALAR_END = re.compile(r"[,\]}\s]")
_DELIMITERS = ",:]} \t\n\r"
_MOST_DEPTH = 4  # of wanted paths


class JsonStreamError(ValueError):
    """The file is not JSON, ends early, or has a value beyond the limits."""


def members(file: BinaryIO, wanted: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Yield `(path, value)` for every member of the top object whose path is in `wanted`, in the file's order.

    Args:
        file: The file, open for reading bytes.
        wanted: Names of members, those of a nested object as "outer/inner".

    Yields:
        The path with the decoded value. An array is yielded element by element, each with the array's path.

    Raises:
        JsonStreamError: The file is not a JSON object, ends early, or one value is larger than 8 MB of text.
    """
    cursor = _Cursor(file)
    yield from _object(cursor, "", frozenset(wanted))


def _object(cursor: _Cursor, prefix: str, wanted: frozenset[str]) -> Iterator[tuple[str, Any]]:
    cursor.expect("{")
    if cursor.peek() == "}":
        cursor.expect("}")
        return
    while True:
        name = cursor.value()
        if not isinstance(name, str):
            raise JsonStreamError(f"a member's name is {name!r}, not a string")
        cursor.expect(":")
        yield from _member(cursor, prefix + name, wanted)
        if cursor.either(",", "}") == "}":
            return


def _member(cursor: _Cursor, path: str, wanted: frozenset[str]) -> Iterator[tuple[str, Any]]:
    begin = cursor.peek()
    if path in wanted:
        if begin != "[":
            yield path, cursor.value()
            return
        cursor.expect("[")
        if cursor.peek() == "]":
            cursor.expect("]")
            return
        while True:
            yield path, cursor.value()
            if cursor.either(",", "]") == "]":
                return
    elif begin == "{" and path.count("/") < _MOST_DEPTH and any(each.startswith(f"{path}/") for each in wanted):
        yield from _object(cursor, f"{path}/", wanted)
    else:
        cursor.skip()


class _Cursor:
    """A place in the text of a file, of which a part is held."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._json = json.JSONDecoder()
        self._text = ""
        self._at = 0
        self._ended = False

    def peek(self) -> str:
        """The next character that is not white space."""
        while True:
            found = _SPACE.match(self._text, self._at)
            assert found is not None
            self._at = found.end()
            if self._at < len(self._text):
                return self._text[self._at]
            self._more()

    def expect(self, character: str) -> None:
        """Go past `character`."""
        self.either(character)

    def either(self, *characters: str) -> str:
        """Go past one of `characters`, and return which."""
        found = self.peek()
        if found not in characters:
            raise JsonStreamError(f"{found!r} stands where {' or '.join(characters)} is expected")
        self._at += 1
        return found

    def value(self) -> Any:
        """Decode the next value."""
        self.peek()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except (json.JSONDecodeError, RecursionError) as error:
                if self._ended or len(self._text) - self._at > _MOST_VALUE_CHARACTERS:
                    raise JsonStreamError(f"a value cannot be decoded: {error}") from error
            else:
                # A number may go on in the next piece: "4." begins 4.5 and reads as 4.
                if self._ended or (end < len(self._text) and self._text[end] in _DELIMITERS):
                    self._at = end
                    return value
            self._more()

    def skip(self) -> None:
        """Go past the next value."""
        if self.peek() == '"':
            self._skip_string()
            return
        if self._text[self._at] not in "[{":
            self._skip_scalar()
            return
        depth = 0
        while True:
            found = _TO_BRACKET.match(self._text, self._at)
            assert found is not None
            self._at = found.end()
            if self._at == len(self._text):
                self._more()
                continue
            character = self._text[self._at]
            if character == '"':
                self._skip_string()
                continue
            self._at += 1
            depth += 1 if character in "[{" else -1
            if depth == 0:
                return

    def _skip_string(self) -> None:
        while (found := _STRING.match(self._text, self._at)) is None:
            self._more_of_one("string")
        self._at = found.end()

    def _skip_scalar(self) -> None:
        while (found := _SCALAR_END.search(self._text, self._at)) is None:
            self._more_of_one("number")
        self._at = found.start()

    def _more_of_one(self, what: str) -> None:
        if len(self._text) - self._at > _MOST_VALUE_CHARACTERS:
            raise JsonStreamError(f"a {what} is longer than 8 MB")
        self._more()

    def _more(self) -> None:
        if self._ended:
            raise JsonStreamError("the file ends early")
        data = self._file.read(_CHUNK_BYTES)
        self._ended = not data
        self._text = self._text[self._at :] + self._decoder.decode(data, final=self._ended)
        self._at = 0
