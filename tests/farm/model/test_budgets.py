from __future__ import annotations

from pathlib import Path

import pytest

from farm.model.budgets import BudgetError, load_budget, load_budgets, require_known
from kernel.clock import Clock


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


CEILING = 'ceiling_us = 5.0\nsource = "published"\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "[a2a3sim.tiny]\nceilling_us = 5.0\n",
            r"\[a2a3sim.tiny\]: unknown key 'ceilling_us'; did you mean 'ceiling_us'",
        ),
        (f"[a2a3sim.tiny]\n{CEILING}Landed = []\n", "unknown key 'Landed'; did you mean 'landed'"),
        (
            "[a2a3sim.tiny]\nlanded = [{us = 4.0, reson = 'x'}]\n",
            "landed entry 1: unknown key 'reson'; did you mean 'reason'",
        ),
        ("[a2a3sim.tiny]\nlanded = 4.0\n", r"landed is 4\.0; write a list"),
        ("[a2a3sim.tiny]\nlanded = [4.0]\n", r"landed entry 1 is 4\.0; write a table"),
        ("[a2a3sim.tiny]\nlanded = [{us = inf}]\n", "us is inf; write a finite number"),
        ("[a2a3sim.tiny]\nlanded = [{reason = 'x'}]\n", "landed entry 1 has no us"),
        ("[a2a3sim.tiny]\nlanded = [{us = 4.0, reason = 3}]\n", "reason is 3; write a sentence"),
        ("[a2a3sim.tiny]\nceiling_us = inf\nsource = 'x'\n", "ceiling_us is inf; write a finite number"),
        (f"[a2a3sim.tiny]\nceiling_us = {'9' * 400}\nsource = 'x'\n", "ceiling_us is 9{40}…; write a finite number"),
        ("[a2a3sim.tiny]\nceiling_us = 5.0\n", "a ceiling_us without a source"),
        ("[a2a3sim.tiny]\nceiling_us = 5.0\nsource = ' '\n", "a ceiling_us without a source"),
        ("[a2a3sim.tiny]\nceiling_us = 5.0\nsource = 7\n", "source is 7; write a sentence"),
        (f"[a2a3sim.tiny]\n{CEILING}slower_than_base = nan\n", "slower_than_base is nan; write a share"),
        ("[a2a3sim.tiny]\nsource = 'x'\n", "limits nothing"),
        ("[a2a3sim.tiny]\n", "limits nothing"),
        ("[a2a3sim]\ntiny = 5.0\n", r"\[a2a3sim.tiny\] is 5\.0; write one table"),
        ("a2a3sim = 5.0\n", r"\[a2a3sim\] is 5\.0; write one table"),
        (f"[a2a3sim.other]\n{CEILING}ceiling = 1\n", r"\[a2a3sim.other\]: unknown key 'ceiling'"),  # of any case
    ],
)
def test_what_the_file_may_not_hold_is_refused_with_file_and_key(tmp_path: Path, text: str, complaint: str) -> None:
    file = write(tmp_path, text)

    with pytest.raises(BudgetError, match=complaint) as refused:
        load_budget(file, "a2a3sim", "tiny")

    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_a_file_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "budgets.toml"
    file.write_bytes(b'[a2a3sim.tiny]\nsource = "\xff"\n')

    with pytest.raises(BudgetError, match="cannot read the budget file"):
        load_budget(file, "a2a3sim", "tiny")


CLOCKS = {"a2a3": Clock.MEASURED, "a2a3sim": Clock.SIMULATED}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"[a2a3sin.tiny]\n{CEILING}", "unknown platform 'a2a3sin'; did you mean 'a2a3sim'"),
        (f"[a2a3sim.tinny]\n{CEILING}", "unknown case 'tinny'; did you mean 'tiny'"),
        ("[a2a3.tiny]\nlanded = [{us = 4.0}]\n", r"\[a2a3.tiny\] landed: times of 'a2a3' are measured"),
    ],
)
def test_a_budget_for_what_does_not_exist_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(BudgetError, match=complaint):
        require_known(write(tmp_path, text), ["tiny", "wide"], list(CLOCKS), CLOCKS.__getitem__)


def test_a_ceiling_on_a_measured_platform_and_a_ratchet_on_a_simulated_one_are_right(tmp_path: Path) -> None:
    file = write(tmp_path, f"[a2a3.tiny]\n{CEILING}[a2a3sim.wide]\nlanded = [{{us = 4.0}}]\n")

    require_known(file, ["tiny", "wide"], list(CLOCKS), CLOCKS.__getitem__)

    assert load_budgets(file).keys() == {("a2a3", "tiny"), ("a2a3sim", "wide")}
