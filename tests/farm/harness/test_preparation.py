"""The set-up before devices are leased: recorded with its logs, and never the end of a run by itself."""

from __future__ import annotations

import sys
from pathlib import Path

from farm.harness.preparation import prepared, records_of, records_of_trials
from jobs.records import Arm
from kernel.harness import step_files
from kernel.harness.profile import parse
from kernel.harness.step_record import SetupStep
from kernel.platforms.command import Command

PROFILE = f"""
name = "mine"
summary = "made for a test"
command = ["sh", "{{file}}", "{{device}}"]
files = {{ include = ["run.sh"] }}
platforms = {{ sim = {{ simulated = true, clock = "host" }} }}
results = {{ by = "exit" }}

[[setup]]
name = "build"
command = ["{sys.executable}", "build.py"]
outputs = ["out"]
capture = {{ VERSION = "^version (.*)$" }}
"""


def command(place: Path, build: str) -> Command:
    root = place / "repository"
    root.mkdir(parents=True)
    (root / "build.py").write_text(build)
    return Command(parse(PROFILE, "mine.toml"), "sim", root)


def test_what_was_made_here_is_recorded_with_its_log_in_the_run(tmp_path: Path) -> None:
    build = "print('version 7\\x1b[1m'); open('out', 'w').write('x')"
    head, base = command(tmp_path / "head", build), command(tmp_path / "base", build + "\n")
    said: list[str] = []

    made = prepared({Arm.HEAD: head, Arm.BASE: base}, tmp_path / "cache", said.append)
    records = records_of(made, tmp_path / "run")

    assert said == ["set-up: build (1 of 1)", "set-up: build (1 of 1)"]
    assert [(each.arm, each.cached, each.problem) for each in records] == [
        (Arm.HEAD, False, ""),
        (Arm.BASE, False, ""),
    ]
    assert [each.log for each in records] == ["set-up/head/set-up-build.log", "set-up/base/set-up-build.log"]
    assert all("version 7" in (tmp_path / "run" / each.log).read_text() for each in records)
    assert records[0].captured == {"VERSION": "7"}


def test_a_set_up_that_fails_is_recorded_and_left_to_the_trials(tmp_path: Path) -> None:
    made = prepared({Arm.HEAD: command(tmp_path, "print('error: no'); raise SystemExit(2)")}, tmp_path / "cache")

    (record,) = records_of(made, tmp_path / "run")

    assert record.problem == "set-up step build: exit code 2; it printed: error: no"
    assert (tmp_path / "run" / record.log).read_text() == "error: no\n"


def test_what_trials_had_to_make_is_collected_and_a_forged_list_is_none(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "logs" / name).mkdir(parents=True)
    step_files.leave([SetupStep("build", "abc", 2.0)], tmp_path / "logs" / "a")
    (tmp_path / "logs" / "b" / "set-up.json").write_text('{"machine": "n", "steps": [{"name": 1}]}')

    found = records_of_trials(tmp_path)

    assert [(each.name, each.seconds, each.log) for each in found] == [("build", 2.0, "")]
