"""Patterns for the lines with which a repository's files say that they and their outputs passed. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from farm.scaffold.suite.printed import PrintedLine


@dataclass(frozen=True, slots=True)
class PassLines:
    """Regular expressions for a profile's `[lines]`."""

    passed: str
    output: str
    passing: str  # "" where the word is the usual one
    unvalidated: str


def found_in(lines: Sequence[PrintedLine]) -> PassLines | None:
    """Return the patterns, `lines` being sorted by how often they occur; None where no line names an output.

    The line of an output has one value before the word, its name. That of the whole file has none.
    """
    outputs = [line for line in lines if line.before.count(None) == 1 and line.before[-1] is not None]
    whole = [line for line in lines if None not in line.before and line.before[-1] not in (None, "")]
    if not outputs or not whole:
        return None
    output, passed = outputs[0], whole[0]
    beginning = _escaped("".join(part or "" for part in passed.before))
    skipped = any(line.validates_nothing for line in lines)
    name = "".join("(?P<name>.+?)" if part is None else _escaped(part) for part in output.before)
    return PassLines(
        passed=f"^{beginning}{re.escape(passed.word)}" + _behind(passed),
        output=f"^{name}(?P<verdict>{re.escape(output.word)}|FAIL\\w*)\\b",
        passing="" if output.word == "PASS" else f"^{re.escape(output.word)}$",
        unvalidated="skipped" if skipped else "",
    )


def _behind(line: PrintedLine) -> str:
    """What follows the word up to the first value, so that another line with the word is not taken for it."""
    part = line.parts[len(line.before) - 1] or ""
    return _escaped(part[len(line.before[-1] or "") + len(line.word) :])


def _escaped(text: str) -> str:
    """`text` as a pattern, in which spaces stay readable."""
    return re.escape(text).replace("\\ ", " ")
