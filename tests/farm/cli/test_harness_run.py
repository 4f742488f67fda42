"""`farm run --harness` and `farm harness` at the command line: help, mistakes in one line, exit codes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from farm.cli.app import main
from tests.fakes.harness import ROOT
from tests.fakes.unseen_repositories import PYTHON

REPOSITORY = Path(__file__).parents[3]
SEEN = "[RUN] compile ...\n[RUN]   'y' PASS  shape=(1,) dtype=torch.int8\n[RUN] PASS (1.00s)\n"


def farm(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_the_only_platform_of_a_profile_need_not_be_named(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(PYTHON.profile)
    named = ["run", "--suite", str(tmp_path / "mine.toml"), "--root", str(tmp_path), "nothing/*.py"]

    plain, wrong = farm(*named), farm(*named, "--platform", "a2a3sim")

    assert (plain.exit_code, wrong.exit_code) == (2, 2)
    assert "matches 'nothing/*.py'" in plain.stderr
    assert "harness python has no platform 'a2a3sim'; its platforms: npu" in wrong.stderr


def test_help_tells_which_of_the_two_commands_it_is_for() -> None:
    assert "--changed-since" in farm("run", "--harness", "pypto-lib", "--help").output
    plain = farm("run", "--help").output
    assert "--changed-since" not in plain
    assert "farm run --harness pypto-lib -h" in " ".join(plain.split())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["--harness", "pypto"],
            "unknown harness 'pypto'; did you mean 'pypto-lib'? known: a path to a .toml file, ascend-c, flaggems",
        ),
        (["--harness", "pypto-lib", "nothing/*.py"], "matches 'nothing/*.py'"),
        (
            ["--harness", "pypto-lib", "--platform", "a9"],
            "harness pypto-lib has no platform 'a9'; its platforms: a2a3,",
        ),
        (
            ["--harness", "pypto-lib", "--trial-timeout", "600"],
            "--trial-timeout 600 leaves no room for the harness's own 600 s",
        ),
        (["--suite", "pypto-lib", "--source", str(REPOSITORY), "--root", str(ROOT)], "--root is for files as they are"),
        (
            ["--suite", "pypto-lib", "--source", str(REPOSITORY), "--changed-since", "HEAD"],
            "--changed-since is for files as they are, and --source for a commit's; with that use --changed-only",
        ),
        (["--suite", "pypto-lib", "--commit", "HEAD"], "--commit is for files from a git repository; name one"),
        (["--suite", "pypto-lib", "--changed-only"], "--changed-only compares a commit with its merge base"),
        (["--suite", "pypto-lib", "--source", str(REPOSITORY), "--changed-only"], "--changed-only compares a commit"),
        (["--suite", "pypto-lib", "--source", "/nowhere"], "--source /nowhere is no directory"),
        (["--suite", "pypto-lib", "--source", str(REPOSITORY), "--commit", "gone"], "there is no commit 'gone'"),
        (["--suite", "pypto-lib", "-w", "4", "models/passes.py"], "--witnesses 4 need as many devices, --devices 3"),
        (["--harness", "pypto-lib", "--root", "/nowhere"], "--root /nowhere is no directory"),
        (["--harness", "pypto-lib", "models/no_sim.py"], "none of 1 files is for a2a3sim; models/no_sim.py is marked"),
        (["--harness", "pypto-lib", "--devices", "0", "models/passes.py"], "--devices 0 is out of range"),
        (
            ["--suite", "pypto-lib", "--workflow", "gate", "models/passes.py"],
            "unknown task or workflow of profile pypto-lib 'gate'; known: none",
        ),
        (["--harness", "pypto-lib", "--changed-since", "nowhere", "models/passes.py"], "--changed-since nowhere: "),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments: list[str], told: str) -> None:
    root = [] if {"--root", "--source", "--commit"} & set(arguments) else ["--root", str(ROOT)]

    result = farm("run", *arguments, *root)

    assert result.exit_code == 2, result.output
    assert told in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_change_that_concerns_no_file_runs_nothing_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "one.py").write_text("if __name__ == '__main__': pass\n")
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "state"]):
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)
    (tmp_path / "README.md").write_text("words\n")

    result = farm("run", "--harness", "pypto-lib", "--root", str(tmp_path), "--changed-since", "HEAD")

    assert result.exit_code == 0
    assert result.output == "nothing to run since HEAD: 0 of 1 files are, or import, one of 0 changed files\n"


@pytest.mark.parametrize("command", ["suite", "harness"])
def test_profiles_are_listed_with_what_they_were_written_against(command: str) -> None:
    rows = {row["name"]: row for row in json.loads(farm(command, "list", "--json").output)}

    assert rows["pypto-lib"]["platforms"] == ["a2a3", "a2a3sim", "a5", "a5sim"]
    assert "634e77bd (2026-08-21)" in rows["pypto-lib"]["written_against"]
    assert "simpler  hw-native-sys/simpler" in farm(command, "list").output


def test_a_profile_is_checked_against_a_run_that_was_seen(tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text(SEEN)

    result = farm("suite", "check", "pypto-lib", "--log", str(tmp_path / "out.txt"))

    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "profile pypto-lib: good",
        "this run: passed",
        "pass lines: 1",
        "program 1 (1): 1 pass lines, 1 outputs",
        "output y: PASS (1,) int8",
    ]


def test_a_check_shows_each_line_that_matches_with_its_rule(tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text(f"hello\n{SEEN}")

    result = farm("suite", "check", "pypto-lib", "--log", str(tmp_path / "out.txt"), "--lines")
    content = json.loads(farm("suite", "check", "pypto-lib", "--log", str(tmp_path / "out.txt"), "--json").output)

    assert "[lines.output] [RUN]   'y' PASS" in result.output
    assert "no line matches: lines.unvalidated, " in result.output
    assert (content["log"]["judgement"], content["log"]["rules"]["lines.passed"]) == ("passed", 1)
    assert all(each["number"] > 1 for each in content["log"]["lines"])


def test_lines_are_shown_of_a_log_only() -> None:
    result = farm("suite", "check", "pypto-lib", "--lines")

    assert (result.exit_code, "--file and --lines need --log" in result.stderr) == (2, True)


def test_a_check_says_how_the_run_would_be_judged(tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text("k.py: error: unrecognized arguments: --lanes\n")

    result = farm("suite", "check", "pypto-lib", "--log", str(tmp_path / "out.txt"), "--exit-code", "2")

    assert "this run: not measured, bad-argument: the file refuses an argument of the call" in result.output


def test_a_check_lists_the_targets_of_a_checkout() -> None:
    result = farm("suite", "check", "pypto-lib", "--root", str(ROOT), "--json")

    targets = json.loads(result.output)["targets"]
    assert "models/passes.py" in targets["a2a3sim"]
    assert "models/no_sim.py" in targets["a2a3"]
    assert "models/no_sim.py" not in targets["a2a3sim"]


def test_a_check_counts_the_targets_of_each_task_and_workflow(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[3] / "kernel" / "harness" / "profiles" / "pypto-lib.toml"
    tasks = '[[task]]\nname = "one"\nfiles = ["models/passes.py"]\n[[workflow]]\nname = "all"\ntasks = ["one"]\n'
    (tmp_path / "mine.toml").write_text(f"{shipped.read_text()}\n{tasks}")
    command = ("suite", "check", str(tmp_path / "mine.toml"), "--root", str(ROOT))

    assert "one on a2a3: 1 targets\n" in farm(*command).output
    assert json.loads(farm(*command, "--json").output)["workflows"]["all"]["a2a3sim"] == ["models/passes.py"]


def test_the_schema_of_a_profile_is_printed() -> None:
    assert json.loads(farm("suite", "schema").output)["title"] == "Profile"


def test_a_kind_that_the_fault_table_does_not_have_is_named(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[3] / "kernel" / "harness" / "profiles" / "pypto-lib.toml"
    (tmp_path / "mine.toml").write_text(shipped.read_text().replace('kind = "compile"', 'kind = "compil"'))

    result = farm("harness", "check", str(tmp_path / "mine.toml"))

    assert result.exit_code == 2
    assert "signatures.0.kind 'compil' is none of: device, " in result.output
