"""Whole bisects of a suite's file, from the command to the record: confined for real, on devices that are threads.

`test_on_ray.py` has what only a cluster shows, and an installed kernel.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

from farm.bisect import workflow
from farm.bisect.observer import BisectObserver
from farm.bisect.search import BisectSearch
from farm.cli.app import main
from farm.execution.session import SessionOptions
from farm.model.bisect import BisectRecord, BisectRequest, CommitOutcome, MetricName
from farm.model.timeouts import Timeouts
from jobs.sandbox import bubblewrap
from tests.fakes.commits import Commits
from tests.fakes.suite_commits import BROKEN, FILE, OF_DEVICE, SAME, SLOWER, WRONG, profile, suite_versions
from tests.farm.thread_lease import without_ray

pytestmark = [
    pytest.mark.usefixtures("on_threads"),
    pytest.mark.skipif(not bubblewrap.isolation().bubblewrap, reason=bubblewrap.isolation().lacks),
]

COMMITS, CULPRIT = 15, 10


@pytest.fixture(scope="module")
def on_threads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Devices that are threads, and a home and a store for all tests of the file."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as monkeypatch:
        without_ray(monkeypatch)
        monkeypatch.setenv("FARM_HOME", str(home))
        monkeypatch.setenv("FARM_STORE", f"sqlite:///{home / 'store.sqlite'}")
        yield


class Copying(BisectObserver):
    """Copies the bisect's directory as round 2 begins: what a process that is killed then leaves on disk."""

    def __init__(self, out: Path, copies: Path) -> None:
        self.out = out
        self.copies = copies

    def round_began(self, number: int, positions: Sequence[int], search: BisectSearch) -> None:
        if number == 2:
            shutil.copytree(self.out, self.copies)


class Searched(NamedTuple):
    """One bisect over fifteen commits, and where the copy is of what was known after its first round."""

    commits: Commits
    record: BisectRecord
    killed: Path


@pytest.fixture(scope="module")
def searched(on_threads: None, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """Fifteen commits with three devices, for the time."""
    place = tmp_path_factory.mktemp("searched")
    commits = suite_versions(place / "repo", [SAME] * CULPRIT + [SLOWER] * (COMMITS + 1 - CULPRIT))
    request = BisectRequest(
        repository=str(commits.path),
        good=commits.ids[0],
        bad=commits.ids[-1],
        kernel="mine",
        case=FILE,
        platform="model",
        devices=3,
        metric=MetricName.WALL,
        input_set="own",
        seed=0,
        require_sandbox=True,
        suite=str(profile(place)),
    )
    out = place / "runs"
    how = SessionOptions(out=out, timeouts=Timeouts(trial_s=700))
    record = workflow.bisect(request, how, Copying(out, place / "killed"), report=False)
    return Searched(commits, record, place / "killed")


def farm_bisect(*words: str) -> tuple[Result, dict[str, Any]]:
    """What the command said, and the record it printed, empty for none."""
    done = CliRunner().invoke(main, ["bisect", *words, "--json"])
    return done, json.loads(done.stdout) if done.stdout else {}


def bisect(place: Path, versions: Sequence[str], *more: str) -> tuple[Commits, Result, dict[str, Any]]:
    """A bisect of a repository with `versions`, without a report, on two devices."""
    commits = suite_versions(place / "repo", versions)
    words = ["--suite", str(profile(place)), "--platform", "model", "--source", str(commits.path), "--devices", "2"]
    given = [commits.ids[0], commits.ids[-1], FILE, *words, "--no-report", "--out", str(place / "runs"), *more]
    return commits, *farm_bisect(*given)


def test_a_regression_among_15_commits_is_found_with_three_devices_in_two_rounds(searched: Searched) -> None:
    commits, found, _ = searched

    assert found.outcome is CommitOutcome.FOUND, found.reason
    assert found.suspects == [commits.ids[CULPRIT]]
    assert "worse: 41.00 µs, 40.00 µs" in found.reason
    assert found.last_good == commits.ids[CULPRIT - 1]
    assert (found.commits, found.rounds) == (COMMITS, 2)
    assert found.serial is not None
    assert found.serial.probes == 4
    for number in (1, 2):
        assert len({probe.device for probe in found.probes if probe.round == number}) == 3
    assert (Path(found.directory) / "bisect.md").read_text().startswith("## 🎯 found")


def test_a_bisect_that_was_killed_goes_on_and_tests_no_commit_twice(searched: Searched) -> None:
    """What was answered is on disk after each round, and only the good commit runs again, to compare with."""
    commits, _, killed = searched
    (left,) = killed.glob("*/bisect.json")
    before = json.loads(left.read_text())
    assert (before["outcome"], len(before["probes"])) == ("interrupted", 2 + 3)

    done, found = farm_bisect("--resume", "latest", "--out", str(killed), "--no-report")

    assert (done.exit_code, found["outcome"], found["suspects"]) == (0, "found", [commits.ids[CULPRIT]])
    assert found["resumed_from"] == before["bisect_id"]
    taken = {probe["commit"]: probe["trials"] for probe in before["probes"]}
    again = {each["commit"] for each in found["probes"] if taken.get(each["commit"], each["trials"]) != each["trials"]}
    assert again <= {commits.ids[0]}
    assert len({probe["commit"] for probe in found["probes"]}) == len(found["probes"])


def test_the_commit_found_is_run_against_the_last_good_one(tmp_path: Path) -> None:
    _, done, found = bisect(tmp_path, [SAME, WRONG], "--metric", "verdict", "--report", "--devices", "1")

    assert (done.exit_code, found["reason"].partition(": ")[2]) == (0, "wrong: out"), done.stderr
    report = json.loads((tmp_path / "runs" / found["run_id"] / "report.json").read_text())
    assert report["source"]["commit"] == found["suspects"][0]
    (file,) = report["harness"]["files"]
    assert (file["status"], file["base"]) == ("failed", "the merge base passes with the same bits")
    assert len(report["trials"]) == 3


def test_broken_commits_are_passed_over_and_named_where_they_hide_the_change(tmp_path: Path) -> None:
    commits, done, found = bisect(tmp_path, [SAME, BROKEN, SLOWER, SLOWER])

    assert (done.exit_code, found["outcome"]) == (3, "narrowed"), done.stderr
    assert found["suspects"] == [commits.ids[1], commits.ids[2]]
    skipped = [probe for probe in found["probes"] if probe["answer"] == "skipped"]
    assert [probe["commit"] for probe in skipped] == [commits.ids[1]]
    assert "SyntaxError" in skipped[0]["reason"]


def test_bits_that_depend_on_the_device_are_found_by_a_second_one(tmp_path: Path) -> None:
    commits, done, found = bisect(tmp_path, [SAME, OF_DEVICE], "--metric", "determinism")

    assert (done.exit_code, found["suspects"]) == (0, [commits.ids[1]]), found["reason"]
    assert "depends on the device" in found["reason"]
    assert all(len({trial["device"] for trial in probe["trials"]}) == 2 for probe in found["probes"])


def test_a_range_without_a_change_is_one_line(tmp_path: Path) -> None:
    commits, done, _ = bisect(tmp_path, [SAME, SAME, SAME])

    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.strip().splitlines()
    assert f"no change of wall between GOOD {commits.ids[0][:12]} and BAD {commits.ids[2][:12]}" in line
