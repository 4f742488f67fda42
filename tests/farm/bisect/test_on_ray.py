"""Bisects on a real Ray: of an installed kernel, whose programs import torch, and one that is interrupted.

What a bisect asks, answers and keeps is in `test_workflow.py`, on devices that are threads.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

from farm.cli.app import main
from farm.execution.resolved_run import ResolvedRun
from farm.execution.session import SessionOptions
from jobs.sandbox import bubblewrap
from tests.fakes.commits import KERNEL, Commits, program
from tests.fakes.installed import install
from tests.fakes.suite_commits import FILE, HANGS, SAME, SLOWER, profile, suite_versions
from tests.processes import MARK, running_for_this_test
from tests.waiting import came_true

pytestmark = [
    pytest.mark.ray,
    pytest.mark.usefixtures("installed", "local_ray", "at_home"),
    pytest.mark.skipif(not bubblewrap.isolation().bubblewrap, reason=bubblewrap.isolation().lacks),
]

PLATFORMS = {"commit": "tests.fakes.commit_platform:CommitPlatform"}
FAST, SLOW, BROKEN = "wall_us = 40.0", "wall_us = 41.0", "broken = True"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Before a Ray is started, whose workers find platform and kernel as well."""
    site = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as monkeypatch:
        install(site, monkeypatch, PLATFORMS, {KERNEL: f"{KERNEL}:KERNEL"})
        (site / f"{KERNEL}.py").write_text(program(-1, ""))
        (site / "budgets.toml").touch()
        yield


def test_a_kernels_commits_run_confined_and_the_one_found_is_to_be_run_against_the_last_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run itself is in the long form, `test_whole_bisects.py`; here its request has to be right."""
    asked: list[ResolvedRun] = []

    def run(resolved: ResolvedRun, options: SessionOptions) -> Any:
        asked.append(resolved)
        return SimpleNamespace(run_id="the-report")

    monkeypatch.setattr("farm.validation.workflow.run", run)
    commits = Commits(tmp_path / "repo")
    for each in (FAST, SLOW, BROKEN):
        commits.commit(each)
    commits.touch()
    commits.commit(SLOW)
    commits.touch()
    options = ["--kernel", KERNEL, "--platform", "commit", "--source", str(commits.path), "--devices", "2"]

    done = CliRunner().invoke(
        main, ["bisect", commits.ids[0], "main", *options, "--out", str(tmp_path / "runs"), "--json"]
    )

    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert (done.exit_code, found["suspects"]) == (0, [commits.ids[1]]), found["reason"]
    assert (found["commits"], len(found["candidates"]) - 1) == (5, 3), "what changes nothing is not tested"
    assert len({probe["device"] for probe in found["probes"]}) == 2
    (broken,) = (probe for probe in found["probes"] if probe["commit"] == commits.ids[2])
    assert (broken["answer"], "F00001" in broken["reason"]) == ("skipped", True)
    (resolved,) = asked
    assert found["run_id"] == "the-report"
    source = resolved.request.source
    assert source is not None
    assert (source.commit, source.base, resolved.request.repeats) == (commits.ids[1], commits.ids[0], 3)


def files_of_round_1() -> set[str]:
    """Names of the directories in which files of the first round run for this test."""
    words: list[str] = []
    for process in running_for_this_test():
        with contextlib.suppress(psutil.Error):  # it has just ended
            words += process.cmdline()
    return set(re.findall(r"/logs/(round1-[^/\s\"]+)", " ".join(words)))


def interrupt_round_1() -> None:
    """Ctrl-C as soon as both commits of the first round run."""
    if came_true(lambda: len(files_of_round_1()) == 2, within_s=300):
        os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_keeps_what_was_answered_and_ends_the_files_that_run(tmp_path: Path) -> None:
    """The process that gets it and its own Ray are in the long form, `test_whole_bisects.py`, and of `farm run`."""
    commits, out = suite_versions(tmp_path / "repo", [SAME, HANGS, HANGS, SLOWER]), tmp_path / "runs"
    suite = profile(tmp_path, f"[environment]\nset = {{ {MARK} = '{os.getpid()}' }}\n")
    options = ["--suite", str(suite), "--platform", "model", "--source", str(commits.path), "--devices", "2"]
    ctrl_c = threading.Thread(target=interrupt_round_1)
    ctrl_c.start()

    done = CliRunner().invoke(main, ["bisect", commits.ids[0], commits.ids[-1], FILE, *options, "--out", str(out)])

    ctrl_c.join()
    assert done.exit_code == 3, done.output
    assert "interrupted; 2 commits are left to test" in " ".join(done.stdout.split())
    (left,) = out.glob("*/bisect.json")
    kept = json.loads(left.read_text())
    assert (kept["outcome"], [probe["answer"] for probe in kept["probes"]]) == ("interrupted", ["good", "bad"])
    _, alive = psutil.wait_procs(running_for_this_test(), timeout=60)
    assert not alive
