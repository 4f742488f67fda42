from __future__ import annotations

from pathlib import Path

import pytest

from farm.model.budgets import BudgetError, load_budget


def write(path: Path, text: str) -> Path:
    file = path / "budgets.toml"
    file.write_text(text)
    return file


def test_the_last_landed_time_is_the_ratchet(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        '[a2a3sim.tiny]\nceiling_us = 545.0\nsource = "published"\n'
        'landed = [{us = 50.0, reason = "first"}, {us = 40.0}, {us = 41.0, reason = "exactness costs 1 µs"}]\n',
    )

    budget = load_budget(file, "a2a3sim", "tiny")

    assert budget is not None
    assert (budget.ceiling_us, budget.ratchet_us, budget.limit_us, budget.source) == (545.0, 41.0, 41.0, "published")


def test_a_raise_without_a_reason_is_refused_with_both_numbers(tmp_path: Path) -> None:
    file = write(tmp_path, "[a2a3sim.tiny]\nlanded = [{us = 40.0}, {us = 41.0, reason = ' '}]\n")

    with pytest.raises(BudgetError, match=r"40\.0 to 41\.0"):
        load_budget(file, "a2a3sim", "tiny")


@pytest.mark.parametrize("value", ["-1", "0", '"fast"', "true", "nan"])
def test_a_budget_that_is_no_time_is_refused(tmp_path: Path, value: str) -> None:
    file = write(tmp_path, f"[a2a3.tiny]\nceiling_us = {value}\n")

    with pytest.raises(BudgetError, match="above 0"):
        load_budget(file, "a2a3", "tiny")


def test_no_entry_is_no_budget_and_a_broken_file_is_an_error(tmp_path: Path) -> None:
    assert load_budget(write(tmp_path, ""), "a2a3", "tiny") is None
    with pytest.raises(BudgetError, match="cannot read"):
        load_budget(write(tmp_path, "[["), "a2a3", "tiny")
    with pytest.raises(BudgetError, match="cannot read"):
        load_budget(tmp_path / "absent.toml", "a2a3", "tiny")
