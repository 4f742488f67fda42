"""Bad input to `farm bisect`: one line, exit code 2, nothing started."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from farm.cli.app import main
from farm.report.bisect import json_dump
from tests.fakes.commits import Commits, versions

pytestmark = pytest.mark.usefixtures("at_home")


@pytest.fixture
def commits(tmp_path: Path) -> Commits:
    """Two commits whose files are no program of the installed kernel."""
    return versions(tmp_path / "repo", ["", ""])


def farm(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["bisect", *arguments])


def assert_refused(result: Result, words: str) -> None:
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    (line,) = result.stderr.strip().splitlines()
    assert words in line


def test_what_cannot_be_searched_is_refused_in_one_line(commits: Commits, tmp_path: Path) -> None:
    first, last, here = commits.ids[0], commits.ids[1], ["--source", str(commits.path), "--out", str(tmp_path / "out")]

    assert_refused(farm(first, last, "--kernel", "nope", *here), "unknown kernel 'nope'")
    assert_refused(farm(first, "nonsense", *here), "there is no commit 'nonsense'")
    assert_refused(farm(last, first, *here), "it is the other way round")
    assert_refused(farm(first, last, *here), "none of the 1 commits")
    assert_refused(farm(first, last, "--source", str(tmp_path)), "no git repository")
    assert_refused(farm(first, last, "--source", str(tmp_path / "gone")), "is no directory")

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--suite", "pypto-lib"], "searches FILE or --workflow NAME"),
        (["a.py", "--suite", "pypto-lib", "--workflow", "gate"], "FILE a.py is one target, and --workflow gate has"),
        (["--workflow", "gate"], "--workflow gate is a suite's"),
        (["--suite", "pypto-lib", "--workflow", "gate"], "unknown task or workflow of profile pypto-lib 'gate'"),
    ],
)
def test_what_of_a_suite_is_searched_is_said_once(words: list[str], problem: str, commits: Commits) -> None:
    assert_refused(farm(*commits.ids, *words, "--source", str(commits.path)), problem)


def test_one_commit_is_not_enough(commits: Commits) -> None:
    result = farm(commits.ids[0], "--source", str(commits.path))

    assert result.exit_code == 2
    assert "name two commits: farm bisect GOOD BAD" in result.stderr


def test_uncommitted_changes_are_named(commits: Commits) -> None:
    (commits.path / "bisected.py").write_text("changed\n")

    result = farm(commits.ids[0], commits.ids[1], "--source", str(commits.path))

    assert "has changes that are not committed; they are not tested" in result.stderr.splitlines()[0]


def test_the_schema_is_printed_without_commits() -> None:
    assert farm("--schema").stdout == json_dump.schema()
