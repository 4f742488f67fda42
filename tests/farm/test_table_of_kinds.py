"""Every row of the table of kinds in docs/numbers-evidence.md names a test that is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "numbers-evidence.md"


def test_every_kind_is_held_by_a_test() -> None:
    table = PAGE.read_text().partition("## Evidence that is refused")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    held = [re.search(r"`([a-z_/]+\.py)::(test_[a-z0-9_]+)` \|$", row) for row in rows]

    assert len(rows) >= 25
    assert all(held), [row for row, found in zip(rows, held, strict=True) if not found]
    for found in held:
        assert found is not None
        tree = ast.parse((TESTS / found[1]).read_text())
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert found[2] in names, f"{found[1]} has no {found[2]}"
