"""No run lowers a ratchet: what it measured is an entry of the budget file only once a commit has landed it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import farm
from farm.gates.budget import BudgetGate
from farm.model.budgets import load_budget
from farm.model.run import GateStatus
from tests.farm.evidence import CASE, evidence, trial

LANDED = f"""
[a2a3sim.{CASE}]
ceiling_us = 120.0
source = "published"
landed = [{{ us = 100.0 }}]
"""
TOP = Path(farm.__file__).parents[1]
PACKAGES = ("farm", "ci", "jobs")
_WRITES = {"write_text", "write_bytes", "write_whole", "replace_text", "write"}


@pytest.mark.parametrize("us", [50.0, 99.0, 1.0])
def test_a_faster_run_says_what_could_be_landed_and_changes_nothing(tmp_path: Path, us: float) -> None:
    file = tmp_path / "budgets.toml"
    file.write_text(LANDED)

    faster = BudgetGate().judge(evidence([trial("d0", 0, wall_us=us)], budget=load_budget(file, "a2a3sim", CASE)))
    landed = BudgetGate().judge(evidence([trial("d0", 0)], budget=load_budget(file, "a2a3sim", CASE)))

    assert faster.status is GateStatus.PASSED
    assert "land" in faster.findings[0].message
    assert file.read_text() == LANDED
    assert landed.status is GateStatus.PASSED  # the time of the entry is still good enough


def test_no_module_that_reads_budgets_writes_a_file() -> None:
    known = {
        path: path.read_text(encoding="utf-8")
        for package in PACKAGES
        for path in (TOP / package).rglob("*.py")
        if "load_budget" in path.read_text(encoding="utf-8")
    }

    assert len(known) >= 2
    for path, text in known.items():
        called = {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
        assert not called & _WRITES, path
