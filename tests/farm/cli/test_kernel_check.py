"""`farm kernel check`, as a person types it: one line a check, 1 for the kernel's mistakes and 2 for the person's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from farm.cli.app import main
from farm.validation.kernel_check import CHECKS

KERNEL = """
import dataclasses, os
from pathlib import Path
from tests.fakes.small_kernel import SmallKernel
class Mine(SmallKernel):
    def sources(self): return (Path(__file__),)
    def budgets(self): return Path(__file__).with_name("budgets.toml")
"""
MANY_MISTAKES = """
    tolerances = {"y": SmallKernel.tolerances["y"]}
    def golden(self, case, inputs): os._exit(3)
KERNEL = Mine()
"""
PROGRAM_RAISES = """
    def tuning(self, case, overrides): return dataclasses.replace(super().tuning(case, overrides), mistake="python")
KERNEL = Mine()
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "budgets.toml").touch()
    return tmp_path


def check(file: Path, text: str, *words: str) -> Result:
    file.write_text(text)
    return CliRunner().invoke(main, ["kernel", "check", str(file), *words])


def test_each_mistake_of_a_kernel_has_its_line_and_one_that_ends_the_process_hides_no_other(here: Path) -> None:
    (here / "budgets.toml").write_text("[a2a3sim.smal]\nlanded = [{us = 5.0}]\n")

    result = check(here / "mine.py", KERNEL + MANY_MISTAKES, "--no-compile")

    assert result.exit_code == 1, result.output
    lines = {line.split()[1]: line for line in result.stdout.splitlines()}
    assert list(lines) == list(CHECKS)
    assert "".join(line[0] for line in lines.values()) == "✓✗✗✓✓✓✗–"
    assert "its tolerances lack rounded (case 'small'); give every output one" in lines["tolerances"]
    assert "unknown case 'smal'; did you mean 'small'" in lines["budgets"]
    assert "its process ended with exit code 3 while it was checked (case 'small')" in lines["golden"]
    assert "not asked for" in lines["compile"]


def test_a_file_that_cannot_be_imported_is_named_with_its_line(here: Path) -> None:
    result = check(here / "mine.py", "x = 1\ny = x +\n", "--json", "--no-compile")

    found = json.loads(result.stdout)
    assert (result.exit_code, found["passed"]) == (1, False)
    statuses = {each["name"]: each["status"] for each in found["checks"]}
    assert statuses == {name: "failed" if name == "contract" else "skipped" for name in CHECKS}
    assert f"({here / 'mine.py'}:2)" in found["checks"][0]["message"]


@pytest.mark.sim
def test_a_mistake_that_compiling_meets_is_named_with_its_line(here: Path) -> None:
    result = check(here / "mine.py", KERNEL + PROGRAM_RAISES)

    assert result.exit_code == 1, result.output
    *others, compiled = result.stdout.splitlines()
    assert all(line.startswith("✓") for line in others)
    assert compiled.startswith("✗ compile")
    assert "the kernel's own complaint" in compiled
    assert "small_program.py:" in compiled


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--case", "tal"], "unknown case 'tal'; did you mean 'tall'"),
        (["--tuning", "rows=17"], "guard rows of 16: 17 and 16"),
        (["--tuning", "rows"], "is not KEY=VALUE"),
        (["--platform", "absent"], "unknown platform 'absent'"),
    ],
)
def test_a_mistake_in_what_was_asked_for_is_not_the_kernels(here: Path, words: list[str], complaint: str) -> None:
    result = check(here / "mine.py", KERNEL + "KERNEL = Mine()\n", "--no-compile", *words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert complaint in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
