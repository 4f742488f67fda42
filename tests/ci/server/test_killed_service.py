"""A service that executes jobs, killed at random moments over a stream of deliveries: one verdict a commit, told once.

`FARM_TEST_KILLS` says how often it is killed in the long form, `FARM_TEST_SEED` from which number chance begins.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select, update

from ci.store.engine import open_database
from ci.store.tables import JOB, OUTBOX
from farm import timestamps
from farm.model.run import Verdict
from farm.process.identity import ProcessIdentity
from farm.store.engine import transaction
from farm.store.run_store import Store
from tests.ci.configuration import executing
from tests.ci.deliveries import deliver
from tests.ci.farm_serve import FarmServe
from tests.fakes import recorded_runs, serve_quickly
from tests.fakes.git_remote import PROGRAM, SAYS, GitRemote
from tests.fakes.github_api import GitHubApi
from tests.fakes.pulls import pull
from tests.fakes.served import served
from tests.waiting import came_true

pytestmark = [pytest.mark.service, pytest.mark.timeout(1200)]

KILLS = int(os.environ.get("FARM_TEST_KILLS", "12"))
SEED = int(os.environ.get("FARM_TEST_SEED", "20260101"))
VERDICTS = ("passed", "failed", "errored", "passed")
CONCLUSIONS = {"passed": "success", "failed": "failure", "errored": "action_required"}


class Stream:
    """Pull requests that come in while the service is killed."""

    def __init__(self, directory: Path, api: GitHubApi, url: str) -> None:
        self.remote = GitRemote(directory / "remote.git")
        executing(directory, url, self.remote.url, at_once=2)
        recorded_runs.record(directory / "evidence")
        self.api = api
        self.service = FarmServe(directory, sys.executable, "-m", serve_quickly.__name__)
        self.says: dict[str, str] = {}  # by commit

    def push(self, number: int) -> None:
        """A new pull request, told of by a webhook."""
        says = VERDICTS[number % len(VERDICTS)]
        head = self.remote.pull(number, {SAYS: says, PROGRAM: str(number)})
        self.says[head] = says
        made = pull(number, 0)
        made["head"]["sha"], made["base"]["sha"] = head, self.remote.main
        self.api.pulls[number] = made
        deliver(self.service.url, made)

    def kill(self) -> None:
        """SIGKILL, and a new service. What it was sending is free to be sent again at once."""
        self.service.end(signal.SIGKILL)
        with transaction(open_database(self.service.store, print), "written", write=True) as connection:
            connection.execute(update(OUTBOX).values(next_at=timestamps.as_text(timestamps.utc_now())))
        self.service.start()

    def settled(self) -> bool:
        """Whether all that was pushed is done, and the forge knows."""
        checks = {str(check["head_sha"]): check["status"] for check in self.api.checks.values()}
        return all(checks.get(head) == "completed" for head in self.says)


@pytest.mark.parametrize("kills", [len(VERDICTS), pytest.param(KILLS, marks=pytest.mark.long)])
def test_killed_at_random_moments_it_judges_every_commit_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int
) -> None:
    """A kill for each verdict; the long form has many more."""
    monkeypatch.setenv("FARM_SIM_DEVICES", "10")  # tenths of a second that a run takes
    chance = random.Random(SEED)
    api = GitHubApi()
    with served(api.app()) as url:
        stream = Stream(tmp_path, api, url)
        for number in range(1, kills + 1):
            stream.push(number)
            time.sleep(chance.uniform(0, 1.5))  # what is to be hit, and not what is waited for
            stream.kill()

        def settled() -> bool:
            assert stream.service.process.poll() is None, stream.service.log()[-3000:]
            return stream.settled()

        assert came_true(settled, 60 + 10 * kills), stream.service.log()[-3000:]
        stream.service.end(signal.SIGTERM)

    assert api.problems == []
    _assert_told_once(stream)
    _assert_judged_once(stream)
    assert "Traceback" not in stream.service.log()


def _assert_told_once(stream: Stream) -> None:
    told = [(str(check["head_sha"]), check["conclusion"]) for check in stream.api.checks.values()]
    assert sorted(told) == sorted((head, CONCLUSIONS[says]) for head, says in stream.says.items())
    commented = Counter(comment["number"] for comment in stream.api.comments.values())
    assert set(commented.values()) == {1} and len(commented) == len(stream.says)


def _assert_judged_once(stream: Stream) -> None:
    engine = open_database(stream.service.store, print)
    with transaction(engine, "read") as connection:
        jobs = connection.execute(select(JOB)).all()
    assert {job.head_sha: job.verdict for job in jobs} == stream.says
    assert len(jobs) == len(stream.says) and {job.state for job in jobs} == {"done"}
    # A run is followed on by the next service, not begun again: its own process was never killed.
    runs = {run.run_id: run.verdict for run in Store(engine).list(limit=10 * len(jobs))}
    assert runs == {job.run_id: Verdict(job.verdict) for job in jobs}
    assert [job.id for job in jobs if not ProcessIdentity.load(job.process).gone()] == []
