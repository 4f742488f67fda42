"""`farm suite check --set-up`: runs the steps of a profile, and says what each has made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from farm.cli.app import main

PROFILE = """
name = "mine"
summary = "made for a test"
command = ["sh", "{file}", "{device}"]
files = { include = ["run.sh"] }
platforms = { sim = { simulated = true, clock = "host" } }
results = { by = "exit" }

[[setup]]
name = "build"
command = ["sh", "build.sh", "{output}"]
outputs = ["out"]
capture = { VERSION = "^version (.*)$" }
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FARM_HOME", str(tmp_path / "home"))
    root = tmp_path / "repository"
    root.mkdir()
    (root / "run.sh").write_text("true")
    (root / "build.sh").write_text('mkdir "$1"; printf 12345 > "$1/a"; echo version 7')
    (tmp_path / "mine.toml").write_text(PROFILE)
    return root


def check(root: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["suite", "check", str(root.parent / "mine.toml"), *options])


def test_it_runs_the_steps_and_says_what_each_made(checkout: Path) -> None:
    first = check(checkout, "--root", str(checkout), "--set-up")
    second = check(checkout, "--root", str(checkout), "--set-up", "--json")

    assert first.exit_code == 0, first.output
    assert "set-up: build (1 of 1)" in first.stderr
    assert "  out: 1 files, 0.0 MB\n  VERSION=7\n" in first.stdout
    (step,) = json.loads(second.stdout)["setup"]
    assert (step["name"], step["cached"], step["captured"]) == ("build", True, {"VERSION": "7"})
    assert step["outputs"] == [{"path": "out", "files": 1, "bytes": 5}]


def test_a_step_that_fails_is_tried_each_time_and_ends_with_3(checkout: Path) -> None:
    (checkout / "build.sh").write_text(f"echo x >> {checkout.parent}/tries; echo 'error: no'; exit 1")

    results = [check(checkout, "--root", str(checkout), "--set-up") for _ in range(3)]

    assert [result.exit_code for result in results] == [3, 3, 3]
    assert (checkout.parent / "tries").read_text() == "x\nx\nx\n"
    assert (
        "sim: set-up build: failed: set-up step build: exit code 1; it printed: error: no (log: " in results[2].stdout
    )


def test_without_a_checkout_or_without_steps_there_is_nothing_to_run(checkout: Path) -> None:
    without_root = check(checkout, "--set-up")
    without_steps = CliRunner().invoke(main, ["suite", "check", "pypto-lib", "--root", str(checkout), "--set-up"])

    assert (without_root.exit_code, without_steps.exit_code) == (2, 2)
    assert "--set-up needs --root" in without_root.stderr
    assert "profile pypto-lib has no [[setup]]" in without_steps.stderr
