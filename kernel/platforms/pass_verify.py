"""Reads what PyPTO's verifier wrote: a program executed again after each compiler pass, against its tensor graph.

The graph a user records is the first thing the calculator executes; what runs on a device is the last. A pass that
changes the numbers would go unseen in between, so PyPTO can execute the graph after any pass and compare. Some graphs
its calculator cannot execute; those are listed with its reason, and prove nothing either way.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

_BRIEF, _EXCEPTIONS, _PREFIX = "verify_result_brief.csv", "verify_exception.log", "Pass_"
_COULD_NOT = re.compile(r"^\[VERIFY\] Pass_(\d+)_(\w+),")
_ERROR_CODE = re.compile(r"Errcode: (\w+)!")
_WHERE = re.compile(r", func (\w+), file")


@dataclass(frozen=True, slots=True)
class PassCheck:
    """The program after one compiler pass."""

    number: int
    name: str
    compared: int  # tensors compared; 0 where the graph could not be executed
    agrees: bool
    max_abs_diff: float  # over the compared tensors
    max_rel_diff: float
    reason: str  # why it could not be executed, "" where it was


def read_checks(artefacts: Path) -> list[PassCheck]:
    """The checks below PyPTO's output directory, in the passes' order. Raises `FileNotFoundError` where it has none."""
    directory = next(iter(artefacts.glob("verify_*")), artefacts / "verify")
    executed = _executed(directory / _BRIEF)
    reasons = _reasons(directory / _EXCEPTIONS)
    numbers = sorted(path.name for path in directory.glob(f"{_PREFIX}*"))
    checks = []
    for entry in numbers:
        number, _, name = entry.removeprefix(_PREFIX).partition("_")
        rows = executed.get(entry, [])
        checks.append(
            PassCheck(
                number=int(number),
                name=name,
                compared=len(rows),
                agrees=bool(rows) and all(row["verifyResult"] == "PASS" for row in rows),
                max_abs_diff=max((float(row["maxAbsDiff"]) for row in rows), default=0.0),
                max_rel_diff=max((float(row["maxRelDiff"]) for row in rows), default=0.0),
                reason="" if rows else reasons.get(name, "the calculator compared nothing and gave no reason"),
            )
        )
    return checks


def _executed(brief: Path) -> dict[str, list[dict[str, str]]]:
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    with brief.open(newline="") as file:
        for row in csv.DictReader(file):
            rows[row["passName"]].append(row)
    return rows


def _reasons(log: Path) -> dict[str, str]:
    """Pass name → PyPTO's error code and the function that gave up."""
    reasons: dict[str, str] = {}
    current = code = ""
    for line in log.read_text(errors="replace").splitlines() if log.exists() else []:
        if could_not := _COULD_NOT.match(line):
            current, code = could_not.group(2), ""
        elif current and (error := _ERROR_CODE.search(line)):
            code = error.group(1)
        elif current and (where := _WHERE.match(line)):
            reasons.setdefault(current, f"PyPTO's calculator cannot execute this graph: {code} in {where.group(1)}")
            current = ""
    return reasons
