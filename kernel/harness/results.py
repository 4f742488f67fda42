"""Reads the files in which a run leaves its verdict and its times: JUnit, CSV and JSON."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from kernel.harness.lanes import matches
from kernel.harness.profile_results import UNITS, Results, TimeFile
from kernel.platforms.protocol import Claim, ModeTime

ASSERTED = "assert"  # how a claim failed whose test compared something
_MOST_BYTES = 64 << 20
_MOST_CLAIMS = 1000
_MOST_ROWS = 1_000_000
_DETAIL_LINES, _KEPT_CHARACTERS = 12, 240


class ResultsError(ValueError):
    """A file of results that is not there or not what the profile says, in one line."""


def claims(work: Path, how: Results, exit_code: int | None) -> dict[str, Claim]:
    """Return what the run says of itself, by what was compared; nothing where its printed lines are to say it.

    Raises:
        ResultsError: The file of results is not there, or not what the profile says.
    """
    if how.by == "lines":
        return {}
    if how.by == "exit":
        known = exit_code == 0 or exit_code in how.failing
        claim = Claim(passed=exit_code == 0, how=f"exit code {exit_code}", whole=True)
        return {"exit code": claim} if known else {}
    found = [path for path in matches(work, [how.file]) if path.is_file()]
    if not found:
        raise ResultsError(f"no file matches {how.file} in the working directory")
    path = found[-1]
    named = _of_junit(path) if how.by == "junit" else _of_rows(path, how)
    return _bounded(named)


def times(work: Path, how: TimeFile) -> tuple[float, ModeTime]:
    """Return the time of the run in µs, and the spread of the rows it is made of.

    Raises:
        ResultsError: There is no such file or row, or a time in it is not one.
    """
    found = [path for path in matches(work, [how.file]) if path.is_file()]
    if not found:
        raise ResultsError(f"the run left no file that matches {how.file}")
    samples = [
        _us(_cell(row, how.column, path), how.unit, path)
        for path in found
        for row in _rows(path, how.rows)
        if _counts(row, how.where, path)
    ]
    if not samples:
        raise ResultsError(f"no row of {found[-1].name} counts")
    if how.aggregate == "sum":
        total = math.fsum(samples)
        return total, ModeTime(1, total, total, total, total)
    spread = ModeTime.of(samples)
    by_name = {"min": spread.min_us, "median": spread.median_us, "mean": spread.mean_us, "max": spread.max_us}
    return by_name[how.aggregate], spread


def _bounded(named: list[tuple[str, Claim]]) -> dict[str, Claim]:
    """Claims by name. One failure of a name stands, and what failed is kept before what passed."""
    kept: dict[str, Claim] = {}
    for name, claim in sorted(named, key=lambda each: each[1].passed):
        if name not in kept and len(kept) < _MOST_CLAIMS:
            kept[name] = claim
    return kept


def _of_junit(path: Path) -> list[tuple[str, Claim]]:
    """A test that was skipped compared nothing and claims nothing."""
    data = _bytes(path)
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise ResultsError(f"{path.name} declares entities, which no JUnit report needs")
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise ResultsError(f"{path.name} is not XML: {error}") from error
    found = []
    for case in root.iter("testcase"):
        name = "::".join(part for part in (case.get("classname"), case.get("name")) if part)
        wrong = next((each for tag in ("failure", "error") for each in case.findall(tag)), None)
        if wrong is not None:
            how = how_it_failed(wrong.get("message") or "", in_call=wrong.tag == "failure")
            found.append((name, Claim(passed=False, how=how, detail=_detail(wrong), whole=True)))
        elif case.find("skipped") is None:
            found.append((name, Claim(passed=True, whole=True)))
    return found


def how_it_failed(message: str, *, in_call: bool) -> str:
    """Return what a test ended in: "assert" where it compared and the numbers were wrong, else the exception's name.

    Args:
        message: The last line of its traceback.
        in_call: Whether the test itself failed, and not what prepares it or cleans up after it.
    """
    message = message.strip()
    found = re.match(r"(?:[\w.]*\.)?(\w+)(?=:|$)", message)
    name = found[1] if found else ""
    if in_call and (message.startswith("assert ") or name in ("AssertionError", "Failed")):
        return ASSERTED
    return name or ("failure" if in_call else "error")


def _detail(element: ElementTree.Element) -> str:
    lines = [element.get("message") or "", *(element.text or "").splitlines()]
    return "\n".join(line[:_KEPT_CHARACTERS] for line in lines if line.strip())[: _DETAIL_LINES * _KEPT_CHARACTERS]


def _of_rows(path: Path, how: Results) -> list[tuple[str, Claim]]:
    found = []
    for row in _rows(path, how.rows):
        if _counts(row, how.where, path):
            answer = _cell(row, how.column, path)
            passed = re.search(how.passing, answer) is not None
            found.append((_cell(row, how.name, path), Claim(passed, how=f"{how.column}: {answer}"[:_KEPT_CHARACTERS])))
    return found


def _rows(path: Path, below: str) -> Iterator[Mapping[str, Any]]:
    """The rows of a CSV file with a head, or of a list in a JSON file, chosen by the suffix."""
    if path.suffix == ".json":
        yield from _json_rows(path, below)
        return
    text = _bytes(path).decode("utf-8-sig", errors="replace")
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    try:
        for number, row in enumerate(reader):
            if number >= _MOST_ROWS:
                raise ResultsError(f"{path.name} has more than {_MOST_ROWS:,} rows")
            yield {name.strip(): value for name, value in row.items() if isinstance(name, str)}
    except csv.Error as error:
        raise ResultsError(f"{path.name} is not CSV: {error}") from error


def _json_rows(path: Path, below: str) -> Iterator[Mapping[str, Any]]:
    try:
        content: Any = json.loads(_bytes(path))
        for part in below.split(".") if below else ():
            content = content[part]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ResultsError(f"{path.name} has no rows at '{below}': {type(error).__name__}: {error}") from error
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise ResultsError(f"{path.name} has no list of rows at '{below}'")
    yield from content


def _counts(row: Mapping[str, Any], where: Mapping[str, str], path: Path) -> bool:
    return all(re.search(pattern, _cell(row, column, path)) for column, pattern in where.items())


def _cell(row: Mapping[str, Any], column: str, path: Path) -> str:
    if column not in row:
        known = ", ".join(str(each) for each in list(row)[:12])
        raise ResultsError(f"{path.name} has no column '{column}'; it has: {known}")
    value = row[column]
    return value.strip() if isinstance(value, str) else json.dumps(value)


def _us(text: str, unit: str, path: Path) -> float:
    """A time is finite and more than 0, or it does not count."""
    try:
        us = float(text.replace(",", "")) * UNITS[unit]
    except ValueError as error:
        raise ResultsError(f"{path.name}: '{text}' is not a time") from error
    if not (math.isfinite(us) and us > 0):
        raise ResultsError(f"{path.name}: {text} is not a time")
    return us


def _bytes(path: Path) -> bytes:
    """The whole of `path`."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ResultsError(f"{path.name} has more than {_MOST_BYTES >> 20} MB")
        return path.read_bytes()
    except OSError as error:
        raise ResultsError(f"{path.name} cannot be read: {error.strerror}") from error
