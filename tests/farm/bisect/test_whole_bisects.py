"""Whole bisects of an installed kernel: a real Ray, and torch in the confined process of every trial.

Those that are interrupted or killed are processes with a Ray of their own; the others share the Ray of this file. Each
has a smaller form: `test_workflow.py` has them of a suite's file on devices that are threads, under the same names;
`test_on_ray.py` has Ctrl-C, the kernel's commits, and the request of the run against the last good one.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import farm
from farm.cli.app import main
from tests.fakes.commits import KERNEL, Commits, program, versions
from tests.fakes.installed import install
from tests.processes import left_behind

pytestmark = [pytest.mark.long, pytest.mark.ray, pytest.mark.usefixtures("installed", "at_home")]

PLATFORMS = {
    "commit": "tests.fakes.commit_platform:CommitPlatform",
    "noisy-commit": "tests.fakes.commit_platform:NoisyCommitPlatform",
}
FAST, SLOW, BROKEN = "wall_us = 40.0", "wall_us = 41.0", "broken = True"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Before a Ray is started, whose workers find platforms and kernel as well."""
    site = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as monkeypatch:
        install(site, monkeypatch, PLATFORMS, {KERNEL: f"{KERNEL}:KERNEL"})
        (site / f"{KERNEL}.py").write_text(program(-1, ""))
        (site / "budgets.toml").touch()
        monkeypatch.setenv("FARM_SIM_DEVICES", "3")
        yield


@pytest.fixture
def one_ray(installed: None, request: pytest.FixtureRequest) -> None:
    """The Ray of this file."""
    request.getfixturevalue("local_ray")


def farm_bisect(*words: str) -> Result:
    return CliRunner().invoke(main, ["bisect", *words])


def bisect(commits: Commits, good: str, bad: str, *more: str) -> Result:
    options = ["--kernel", KERNEL, "--platform", "commit", "--source", str(commits.path), "--wait", "60", "--json"]
    out = commits.path.parent / "runs"
    return farm_bisect(good, bad, *options, "--out", str(out), *more)


def record(done: Result) -> dict[str, Any]:
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.usefixtures("one_ray")
def test_a_regression_among_15_commits_is_found_with_three_devices_in_two_rounds(tmp_path: Path) -> None:
    culprit = 10
    commits = versions(tmp_path / "repo", [FAST if number < culprit else SLOW for number in range(16)])

    done = bisect(commits, commits.ids[0], commits.ids[-1], "--no-report")

    found = record(done)
    assert (done.exit_code, found["outcome"]) == (0, "found"), found["reason"]
    assert found["suspects"] == [commits.ids[culprit]]
    assert found["last_good"] == commits.ids[culprit - 1]
    assert found["commits"] == 15
    assert found["rounds"] <= 2
    assert found["serial"]["probes"] == 4
    assert len({probe["device"] for probe in found["probes"]}) == 3
    assert all(len({p["device"] for p in found["probes"] if p["round"] == n}) == 3 for n in range(1, found["rounds"]))
    assert (Path(found["directory"]) / "bisect.md").read_text().startswith("## 🎯 found")


@pytest.mark.usefixtures("one_ray")
def test_what_changes_nothing_is_not_tested_and_the_commit_found_gets_a_report(tmp_path: Path) -> None:
    commits = versions(tmp_path / "repo", [FAST, FAST])
    commits.touch()
    commits.commit(SLOW)
    commits.touch()

    done = bisect(commits, commits.ids[0], "main", "--devices", "2")

    found = record(done)
    assert (done.exit_code, found["suspects"]) == (0, [commits.ids[3]]), found["reason"]
    assert (found["commits"], len(found["candidates"]) - 1) == (4, 2)
    assert found["run_id"], found["notes"]
    report = farm.load(found["run_id"])
    assert report.source is not None
    assert report.source.commit == commits.ids[3]
    assert {gate.name: gate.status for gate in report.gates}["regression"] is farm.GateStatus.FAILED


@pytest.mark.usefixtures("one_ray")
def test_broken_commits_are_passed_over_and_named_where_they_hide_the_change(tmp_path: Path) -> None:
    commits = versions(tmp_path / "repo", [FAST, FAST, BROKEN, SLOW, SLOW])

    done = bisect(commits, commits.ids[0], commits.ids[-1], "--no-report")

    found = record(done)
    assert (done.exit_code, found["outcome"]) == (3, "narrowed")
    assert found["suspects"] == [commits.ids[2], commits.ids[3]]
    assert "F00001" in next(probe["reason"] for probe in found["probes"] if probe["answer"] == "skipped")


@pytest.mark.usefixtures("one_ray")
def test_bits_that_depend_on_the_device_are_found_by_a_second_one(tmp_path: Path) -> None:
    commits = versions(tmp_path / "repo", ["", "", "by_device = True", "by_device = True"])

    done = bisect(commits, commits.ids[0], commits.ids[-1], "--metric", "determinism", "--no-report")

    found = record(done)
    assert (done.exit_code, found["suspects"]) == (0, [commits.ids[2]]), found["reason"]
    assert "depends on the device" in found["reason"]
    assert all(len({trial["device"] for trial in probe["trials"]}) == 2 for probe in found["probes"])


def test_ctrl_c_keeps_what_was_answered_and_leaves_no_process(tmp_path: Path) -> None:
    commits = versions(tmp_path / "repo", [FAST, "hangs = True", "hangs = True", SLOW])
    home, out = tmp_path / "home", tmp_path / "runs"
    arguments = ["--kernel", KERNEL, "--platform", "commit", "--source", str(commits.path), "--out", str(out)]
    with subprocess.Popen(
        [sys.executable, "-m", "farm", "bisect", commits.ids[0], commits.ids[-1], *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "FARM_HOME": str(home)},
        start_new_session=True,
    ) as process:
        try:
            assert process.stderr is not None
            told = list(itertools.takewhile(lambda line: not line.startswith("round 1"), process.stderr))
            assert process.poll() is None, told
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the job
            printed, _ = process.communicate(timeout=400)
        finally:
            process.kill()

    assert process.returncode == 3
    assert "interrupted; 2 commits are left to test" in " ".join(printed.split())
    (left,) = out.glob("*/bisect.json")
    kept = json.loads(left.read_text())
    assert (kept["outcome"], [probe["answer"] for probe in kept["probes"]]) == ("interrupted", ["good", "bad"])
    assert left_behind(str(home)) == []


@pytest.mark.usefixtures("one_ray")
def test_a_bisect_that_was_killed_goes_on_and_tests_no_commit_twice(tmp_path: Path) -> None:
    """Killed after a round: what was answered is on disk, and only the good commit runs again, to compare with."""
    culprit, home = 5, tmp_path / "home"
    commits = versions(tmp_path / "repo", [FAST if number < culprit else SLOW for number in range(9)])
    out = commits.path.parent / "runs"
    arguments = ["--kernel", KERNEL, "--platform", "commit", "--source", str(commits.path), "--out", str(out)]
    with subprocess.Popen(
        [sys.executable, "-m", "farm", "bisect", commits.ids[0], commits.ids[-1], *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "FARM_HOME": str(home)},
    ) as process:
        assert process.stderr is not None
        told = list(itertools.takewhile(lambda line: not line.startswith("round 2"), process.stderr))
        assert process.poll() is None, told
        process.kill()
    (left,) = out.glob("*/bisect.json")
    before = json.loads(left.read_text())
    assert (before["outcome"], len(before["probes"])) == ("interrupted", 2 + 3)

    done = farm_bisect("--resume", "latest", "--out", str(out), "--no-report", "--json", "--wait", "60")

    found = record(done)
    assert (done.exit_code, found["outcome"], found["suspects"]) == (0, "found", [commits.ids[culprit]])
    assert found["resumed_from"] == before["bisect_id"]
    taken = {probe["commit"]: probe["trials"] for probe in before["probes"]}
    again = {
        probe["commit"] for probe in found["probes"] if taken.get(probe["commit"], probe["trials"]) != probe["trials"]
    }
    assert again <= {commits.ids[0]}
    assert len({probe["commit"] for probe in found["probes"]}) == len(found["probes"])
