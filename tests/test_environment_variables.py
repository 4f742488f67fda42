"""Every environment variable of the farm's own that its code names is in the operator's reference, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "operator" / "reference.md"
PACKAGES = ("farm", "jobs", "kernel", "ci", "tools")


def named(source: str) -> set[str]:
    """The variables that are spelt out in a module, as a text of their own."""
    texts = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    return {text for text in texts if isinstance(text, str) and re.fullmatch(r"FARM_[A-Z0-9_]+", text)}


def in_code() -> set[str]:
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {name for path in files for name in named(path.read_text())}


def documented() -> Iterator[str]:
    section = REFERENCE.read_text().partition("\n## Environment variables\n")[2].partition("\n## ")[0]
    for row in re.findall(r"^\| (`FARM_.*?) \|", section, re.MULTILINE):
        yield from re.findall(r"FARM_[A-Z0-9_]+", row)


def test_each_variable_is_documented_once() -> None:
    assert sorted(documented()) == sorted(in_code())


@pytest.mark.parametrize(
    "source",
    ['x = os.environ.get("FARM_NEW", "1")', 'SWITCH = "FARM_NEW"', 'os.environ["FARM_NEW"]'],
)
def test_a_new_variable_is_seen(source: str) -> None:
    assert named(source) == {"FARM_NEW"}
