"""The list of the slowest files: it names files that are there, and puts them first."""

from __future__ import annotations

from pathlib import Path

from tests import slow_files

ROOT = Path(__file__).parent.parent


def test_every_listed_file_is_there_and_says_what_it_pays_for() -> None:
    found, others = slow_files.listed(), slow_files.others()

    assert len(found) == 30
    assert [path for path in (*found, *others) if not (ROOT / path).is_file()] == []
    assert not set(found) & set(others)
    assert all(found.values())


def test_the_slowest_come_first_and_no_file_is_torn_apart() -> None:
    collected = ["tests/b.py::test_1", "tests/b.py::test_2", "tests/c.py::test_1", "tests/a.py::test_1[x::y]"]

    ordered = sorted(collected, key=lambda node_id: slow_files.place(node_id, {"tests/a.py": "", "tests/c.py": ""}))

    assert ordered == ["tests/a.py::test_1[x::y]", "tests/c.py::test_1", "tests/b.py::test_1", "tests/b.py::test_2"]
