"""A whole JUnit document: its suites numbered, its totals on the root, and every test case with a name of its own.

Readers do not agree on what names a test case: Jenkins takes suite, class and name, GitLab and GitHub's actions class
and name alone. So class and name are unique in the document. They are the same from run to run, or a reader shows every
test case as new: which device was leased is a property, the device's position in the run is in the name.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import junitparser

from farm.report.junit.elements import JunitSuite, xml
from kernel.file_kernels import is_path


def document(suites: Sequence[JunitSuite]) -> bytes:
    """Return the document as UTF-8."""
    found = junitparser.JUnitXml()
    seen: Counter[tuple[str, str]] = Counter()
    for number, suite in enumerate(suites):
        suite.id = number
        for case in suite:
            _tell_apart(case, seen)
        found.append(suite)
    found.update_statistics()
    buffer = io.BytesIO()
    found.write(buffer)
    return buffer.getvalue()


def kernel_label(kernel: str) -> str:
    """Return the name of `kernel` in a document: of one by its file, no directory of this machine."""
    if not is_path(kernel) or not Path(kernel).is_absolute():
        return xml(kernel)
    return xml(Path(kernel).name)


def slot_label(number: int, wanted: int) -> str:
    """Return the name of the device that a run got as its `number`th, of a run that `wanted` so many at a time."""
    return f"slot {number}" if number < wanted else f"spare {number - wanted}"


def _tell_apart(case: junitparser.TestCase, seen: Counter[tuple[str, str]]) -> None:
    """Number a test case whose class and name another has: two runs of one test, or names that only differ in dots."""
    plain = (case.classname, case.name)
    seen[plain] += 1
    while seen[plain] > 1:
        again = (case.classname, f"{plain[1]} ({seen[plain]})")
        if again not in seen:
            case.name = again[1]
            seen[again] += 1
            return
        seen[plain] += 1
