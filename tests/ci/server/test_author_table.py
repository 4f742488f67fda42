"""The table of what an author can put into a pull request says what the tests hold, row by row."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.ci.server import test_what_an_author_can_propose, test_what_an_author_can_say
from tests.ci.server.author_rows import Row

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "maintainer-pull-requests.md"
ROWS: list[Row] = [*test_what_an_author_can_propose.ROWS, *test_what_an_author_can_say.ROWS]
CHECKS = {"action_required": "action required", "queued": "waits"}
MERGES = {"no": "no", "yes": "yes", "approved": "by name"}
LEAST = 40  # rows


def written() -> dict[str, list[str]]:
    """Row → the cells after its name."""
    lines = [line.strip("|").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    cells = [[each.strip() for each in line] for line in lines]
    rows = {each[0].strip("`"): each[1:] for each in cells if len(each) >= 5}
    assert len(rows) == len([each for each in cells if len(each) >= 5]), "a row stands twice"
    return rows


def trials() -> dict[str, str]:
    """Rows of programs that run → the test that holds each."""
    return {name: cells[4].strip("`") for name, cells in written().items() if len(cells) == 5}


def test_the_page_has_the_rows_that_tests_hold_and_no_others() -> None:
    rows = written()

    assert len(rows) >= LEAST
    assert len({row.id for row in ROWS}) == len(ROWS)
    assert {name for name, cells in rows.items() if len(cells) == 4} == {row.id for row in ROWS}


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
def test_a_row_says_which_check_and_which_merge_its_test_expects(row: Row) -> None:
    _, check, merged, affected = written()[row.id]

    assert (check, merged) == (CHECKS.get(row.check, row.check), MERGES[row.merge])
    assert affected


@pytest.mark.parametrize("name", sorted(trials()))
def test_a_row_of_a_program_names_a_test_that_exists(name: str) -> None:
    file, _, function = trials()[name].partition("::")
    nodes = ast.walk(ast.parse((ROOT / "tests" / file).read_text()))

    assert function.startswith("test_")
    assert function in {each.name for each in nodes if isinstance(each, ast.FunctionDef)}


def test_nothing_is_merged_without_a_pass_or_a_name() -> None:
    for name, (_, check, merged, *_) in written().items():
        assert (merged in ("yes", "by name")) == (check == "success"), name
        assert (merged == "on proof") == (check == "judged"), name
