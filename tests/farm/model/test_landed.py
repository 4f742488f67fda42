"""A landed time is added to the text of a budget file, and nothing else of it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.model.budgets import Budget, load_budget
from farm.model.landed import rounded_up, with_landed

TEXT = """# limits
[a2a3sim.tiny]
ceiling_us = 50.0  # far away
source = "a guess"
landed = [
    { us = 9.5, reason = "first" },
]

[a2a3.tiny]
ceiling_us = 60.0
source = "another"
"""


def test_a_time_is_added_as_the_last_line_and_is_in_force(tmp_path: Path) -> None:
    text = with_landed(TEXT, "a2a3sim", "tiny", 9.0, 'fewer "copies"')
    (tmp_path / "budgets.toml").write_text(text)

    assert text == TEXT.replace('"first" },\n', '"first" },\n    { us = 9.0, reason = "fewer \\"copies\\"" },\n')
    assert load_budget(tmp_path / "budgets.toml", "a2a3sim", "tiny") == Budget(50.0, 9.0, "a guess")


@pytest.mark.parametrize("text", ["", TEXT, "[a2a3sim.tiny]\nceiling_us = 1.0\nsource = 'x'\n"])
def test_a_case_without_landed_times_gets_its_first(tmp_path: Path, text: str) -> None:
    (tmp_path / "budgets.toml").write_text(with_landed(text, "a2a3sim", "real", 3.5, "first"))

    found = load_budget(tmp_path / "budgets.toml", "a2a3sim", "real")

    assert found is not None
    assert found.ratchet_us == 3.5


@pytest.mark.parametrize(("us", "landed"), [(9.0, 9.0), (9.0001, 9.001), (31.565, 31.565), (0.0004, 0.001)])
def test_a_time_is_rounded_up_to_a_nanosecond(us: float, landed: float) -> None:
    assert rounded_up(us) == landed
