"""Mutation testing, tried on a project of one module."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import until
from tools.mutation import survivors
from tools.mutation.subjects import SUBJECTS, Choice, UnknownCommitError, changed_since, judges

pytest.importorskip("mutmut")
from tools.mutation.__main__ import LIST, ROOT, Report, as_json, examine, main, text
from tools.mutation.mutants import Mutant, Outcome, made
from tools.mutation.scratch import EngineError, Project

MODULE, TESTS = "judge/limit.py", "tests/test_limit.py"
EVERYTHING = {MODULE: (TESTS,)}
CHOICE = Choice((MODULE,), "all modules")
SOURCE = '''\
"""Limits."""


class Limit:
    """An upper one."""

    highest = 10

    def holds(self, values):
        # The comment above stays where it is.
        return [value for value in values if value > 0 and value <= self.highest]
'''
WEAK = """\
from judge.limit import Limit

def test_a_value_within_the_limit():
    assert Limit().holds([3]) == [3]
"""
STRONG = (
    WEAK
    + """
def test_the_limit_is_inclusive():
    assert Limit().holds([-1, 0, 1, 10, 11]) == [1, 10]
"""
)
LINE = "return [value for value in values if value > 0 and value <= self.highest]"
INCLUSIVE = LINE.replace("<=", "<")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "project"
    for name, content in {MODULE: SOURCE, "judge/__init__.py": "", TESTS: WEAK, "pyproject.toml": ""}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *command], cwd=root, check=True)
    return Project(root, folders=("judge",))


def listed(project: Project, line: str, mutant: str, reason: str = "it is the same for whole numbers") -> None:
    entry = {"module": MODULE, "function": "Limit.holds", "line": line, "mutant": mutant, "reason": reason}
    with (project.root / LIST).open("a") as file:
        file.write("[[survivor]]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in entry.items()))


def test_a_weak_test_leaves_survivors_with_their_place_and_change_until_they_are_listed(project: Project) -> None:
    before = {path: path.read_bytes() for path in project.root.rglob("*") if path.is_file()}
    report = examine(project, EVERYTHING, CHOICE, seconds=60)

    assert not report.passed
    assert {(each.module, each.function, each.line) for each in report.unlisted} == {(MODULE, "Limit.holds", 11)}
    assert (LINE, INCLUSIVE) in {(each.before, each.after) for each in report.unlisted}
    assert f"{MODULE}:11: in Limit.holds: - {LINE} + {INCLUSIVE}" in text(report).splitlines()
    assert json.loads(as_json(report))["counts"]["survived"] == len(report.unlisted)
    assert {path: path.read_bytes() for path in project.root.rglob("*") if path.is_file()} == before

    for each in report.unlisted:
        listed(project, each.before, each.after)
    again = examine(project, EVERYTHING, CHOICE, seconds=60)
    assert (again.passed, again.unlisted, again.counts) == (True, (), report.counts)

    (project.root / TESTS).write_text(STRONG)
    strong = examine(project, EVERYTHING, CHOICE, seconds=60)
    assert (strong.unlisted, strong.passed) == ((), False)
    assert strong.counts == {"killed": sum(report.counts.values())}
    assert {why for _, why in strong.untrue} == {"a test notices it now"}


def test_a_test_that_fails_without_a_mutant_is_an_error_and_no_result(project: Project) -> None:
    (project.root / TESTS).write_text(WEAK.replace("[3]", "[4]", 1))

    with pytest.raises(EngineError, match="failed to collect stats"):
        examine(project, EVERYTHING, CHOICE, seconds=60)


def test_what_the_time_does_not_reach_is_counted_and_neither_fails_nor_passes_for_noticed(project: Project) -> None:
    listed(project, LINE, INCLUSIVE)
    report = examine(project, EVERYTHING, CHOICE, seconds=0.01)

    assert (report.counts.get("killed", 0), report.passed) == (0, True)
    assert "of 1 modules no mutant was made in the time" in text(report)
    reached = Report("all modules", (MODULE,), 1, {"killed": 2, "timed out": 1, "not reached": 5}, (), ())
    assert text(reached).splitlines() == [
        "mutation: 1 modules (all modules): 8 mutants, 3 noticed (1 timed out among them), 0 survived (0 of them "
        "listed); 5 were not reached in the time, and nothing is known of them"
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing_behind(project: Project, tmp_path: Path, number: signal.Signals) -> None:
    places = tmp_path / "temporary"
    places.mkdir()
    command = [sys.executable, "-m", "tools.mutation", "--module", "farm/gates/votes.py"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"TMPDIR": str(places)}, stderr=subprocess.PIPE)
    until(lambda: any(places.glob("mutation-*/mutmut.log")), what="mutmut to start")
    process.send_signal(number)

    _, error = process.communicate(timeout=60)
    assert (process.returncode, "interrupted" in error.decode()) == (130, True)
    assert list(places.iterdir()) == []


def test_a_changed_module_and_one_whose_tests_changed_are_chosen(project: Project) -> None:
    assert changed_since(project.root, "HEAD", EVERYTHING).modules == ()
    for name in (MODULE, TESTS):
        old = (project.root / name).read_text()
        (project.root / name).write_text(old + "\n")
        assert changed_since(project.root, "HEAD", EVERYTHING) == Choice((MODULE,), "changed since HEAD")
        (project.root / name).write_text(old)


def test_a_clone_without_the_commit_says_so(project: Project) -> None:
    with pytest.raises(UnknownCommitError, match="has no commit HEAD\\^, so it cannot say what changed"):
        changed_since(project.root, "HEAD^", EVERYTHING)


@pytest.mark.parametrize("cut", [".meta", ".spans"])
def test_a_record_that_the_end_of_the_time_cut_short_is_none(tmp_path: Path, cut: str) -> None:
    (tmp_path / "mutants/judge").mkdir(parents=True)
    for suffix, record in ((".meta", '{"exit_code_by_key": {}}'), (".spans", '{"spans": {}}')):
        (tmp_path / f"mutants/{MODULE}{suffix}").write_text(record)
    assert made(tmp_path, MODULE)

    (tmp_path / f"mutants/{MODULE}{cut}").write_text('{"ex')
    assert not made(tmp_path, MODULE)


def mutant(outcome: Outcome, before: str = LINE, after: str = INCLUSIVE) -> Mutant:
    return Mutant(MODULE, "Limit.holds", 11, before, after, outcome)


ENTRY = survivors.Listed(MODULE, "Limit.holds", LINE, INCLUSIVE, "why")


@pytest.mark.parametrize(
    ("outcome", "of_nobody", "untrue"),
    [
        (Outcome.SURVIVED, 1, []),
        (Outcome.UNTESTED, 1, []),
        (Outcome.NOT_REACHED, 0, []),
        (Outcome.KILLED, 0, ["a test notices it now"]),
        (Outcome.TIMED_OUT, 0, []),  # a slow machine proves no entry wrong
        (Outcome.CRASHED, 0, []),
    ],
)
def test_the_list_is_held_to_the_outcome(outcome: Outcome, of_nobody: int, untrue: list[str]) -> None:
    assert len(survivors.unlisted([mutant(outcome)], [])) == of_nobody
    assert survivors.unlisted([mutant(outcome)], [ENTRY]) == []
    assert [why for _, why in survivors.stale([mutant(outcome)], [ENTRY], [MODULE])] == untrue
    assert survivors.stale([], [ENTRY], []) == []


def test_an_entry_of_a_change_that_is_not_made_any_more_is_untrue(project: Project) -> None:
    other = replace(ENTRY, mutant="return []")

    assert [why for _, why in survivors.stale([mutant(Outcome.SURVIVED)], [other], [MODULE])] == [
        "there is no such mutant any more"
    ]
    gone = [replace(ENTRY, line="return values"), replace(ENTRY, module="judge/other.py")]
    assert [each for each, _ in survivors.misplaced([ENTRY, *gone], project.root)] == gone


@pytest.mark.parametrize(
    "content",
    [
        "[[survivor",
        "[[survivor]]\nmodule = 'a'",
        "[[survivor]]\n" + "reason = ' '\n",
        "survivor = [{x = 1}]",
        "[survivor]\nmodule = 'a'",
    ],
)
def test_a_list_without_a_reason_or_of_another_form_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "list.toml").write_text(content)

    with pytest.raises(survivors.SurvivorsFileError):
        survivors.load(tmp_path / "list.toml")


def test_every_subject_and_each_of_its_tests_exists() -> None:
    assert [name for name in (*SUBJECTS, *judges(SUBJECTS, SUBJECTS)) if not (ROOT / name).is_file()] == []
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / "farm/gates").glob("[a-z]*.py")} <= set(SUBJECTS)


def test_the_list_of_this_repository_is_one() -> None:
    entries = survivors.load(ROOT / LIST)

    assert survivors.misplaced(entries, ROOT) == []
    assert {each.module for each in entries} <= set(SUBJECTS)


@pytest.mark.parametrize(
    ("counts", "survived", "untrue", "code"),
    [
        ({"killed": 2, "timed out": 1, "not reached": 5}, (), (), 0),
        ({}, (), (), 0),  # the time was over before the first mutant
        ({"killed": 2, "survived": 1}, (mutant(Outcome.SURVIVED),), (), 1),
        ({"killed": 3}, (), ((ENTRY, "a test notices it now"),), 1),
    ],
)
def test_only_a_mutant_that_was_tried_or_an_untrue_entry_fails(
    monkeypatch: pytest.MonkeyPatch, counts: dict[str, int], survived: Any, untrue: Any, code: int
) -> None:
    report = Report("named", (MODULE,), min(len(counts), 1), counts, survived, untrue)
    monkeypatch.setattr("tools.mutation.__main__.examine", lambda *_, **__: report)

    assert main(["--module", "farm/gates/votes.py"]) == code


def test_mutants_that_could_not_be_tried_have_an_exit_code_of_their_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object, **__: object) -> Report:
        raise EngineError("mutmut ended with 1:\nfailed to collect stats")

    monkeypatch.setattr("tools.mutation.__main__.examine", fails)

    assert main(["--module", "farm/gates/votes.py"]) == 3
    assert "failed to collect stats" in capsys.readouterr().err


@pytest.mark.parametrize(("code", "goes_on"), [(0, True), (1, False), (2, False), (3, True)])
def test_the_check_of_a_change_ends_at_a_survivor_and_goes_on_where_no_mutant_could_be_tried(
    code: int, goes_on: bool
) -> None:
    (step,) = (line for line in (ROOT / ".ci/run").read_text().splitlines() if "-m tools.mutation" in line)
    script = f"set -euo pipefail\ntool() {{ return {code}; }}\n{step.replace('.venv/bin/python', 'tool', 1)}\n"

    assert (subprocess.run(["bash", "-c", script]).returncode == 0) is goes_on


@pytest.mark.parametrize("minutes", ["0", "-1", "nan"])
def test_a_time_that_is_none_is_refused(minutes: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--all", "--minutes", minutes])

    assert (ended.value.code, "must be above 0" in capsys.readouterr().err) == (2, True)
