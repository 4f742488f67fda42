"""Jobs executed by the runner: real git, real processes that keep `farm run`'s contract, a GitHub on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from githubkit import TokenAuthStrategy
from sqlalchemy import Engine, select, update

from ci.config.settings import Config
from ci.forge.github import GitHubForge
from ci.outbox.sender import Sender
from ci.queue.claims import Claims
from ci.queue.intents import Validate
from ci.queue.job_queue import Queue
from ci.queue.options import JobOptions, SweepTerms
from ci.runner.runner import Runner
from ci.store.engine import open_database
from ci.store.states import JobKind, OutboxState
from ci.store.tables import JOB, OUTBOX
from farm.model.audit import Actor
from farm.model.priority import Priority
from farm.model.run import Verdict
from farm.process import identity
from farm.process.identity import ProcessIdentity
from farm.store.engine import transaction
from farm.store.run_store import Store
from tests.ci.configuration import ENVIRONMENT, executing
from tests.fakes import recorded_runs
from tests.fakes.git_remote import PROGRAM, SAYS, GitRemote
from tests.fakes.github_api import TOKEN, GitHubApi
from tests.fakes.served import served
from tests.farm import samples, sweep_samples

pytestmark = pytest.mark.service


class Gate:
    """A runner and a sender over one store, and what they work for."""

    def __init__(self, directory: Path, api: GitHubApi, url: str, farm: tuple[str, ...]) -> None:
        self.api = api
        self.farm = farm
        self.remote = GitRemote(directory / "remote.git")
        self.config: Config = executing(directory, url, self.remote.url)
        self.engine: Engine = open_database(os.environ["FARM_STORE"], print)
        self.forges = {"github": GitHubForge(TokenAuthStrategy(TOKEN), url, "https://x.example", timeout_s=5)}
        found = self.config.find("github", "octo-org/kernels")
        assert found is not None
        self.repository = found

    def queue(self, head: str, **changes: Any) -> str:
        """Queue a commit of pull request 7; the job's id."""
        terms: dict[str, Any] = {"kind": JobKind.PULL_REQUEST, "subject": "pull/7", "number": 7, "head_sha": head}
        terms |= {"base_sha": self.remote.main, "base_ref": "main", "from_fork": False, "author": "somebody"}
        asked = Validate(**{**terms, "priority": Priority.PULL_REQUEST, **changes})
        with transaction(self.engine, "written", write=True) as connection:
            Queue(connection, self.config, self.repository).validate(asked, approved_by=changes.get("approved_by", ""))
        return str(self.jobs("id")[-1])

    def work(self, until: Callable[[], bool], seconds: float = 90) -> None:
        """Run and send until something holds; then shut down in order."""
        held: list[bool] = []

        async def both() -> None:
            sender = Sender(self.engine, self.forges)
            runner = Runner(self.engine, self.config, self.forges, told=sender.wake, farm=self.farm)
            tasks = [asyncio.create_task(work) for work in (runner.run(), sender.run())]
            end = time.monotonic() + seconds
            while not until() and time.monotonic() < end and not any(task.done() for task in tasks):
                await asyncio.sleep(0.05)
            held.append(time.monotonic() < end)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert [error for error in ended if not isinstance(error, asyncio.CancelledError)] == []
            while await sender.send_due():
                pass

        asyncio.run(both())
        assert held == [True], self.jobs("state", "reason")

    def done(self) -> bool:
        """Whether every job is settled, and the forge knows it."""
        if {"queued", "running", "cancelling"} & set(self.jobs("state")):
            return False
        with transaction(self.engine, "read") as connection:
            pending = select(OUTBOX.c.sequence).where(OUTBOX.c.state == OutboxState.PENDING.value)
            return connection.execute(pending).first() is None

    def jobs(self, *columns: str) -> list[Any]:
        with transaction(self.engine, "read") as connection:
            found = connection.execute(select(*(JOB.c[name] for name in columns)).order_by(JOB.c.sequence)).all()
        return [row[0] if len(columns) == 1 else tuple(row) for row in found]

    def set_jobs(self, **values: str) -> None:
        with transaction(self.engine, "written", write=True) as connection:
            connection.execute(update(JOB).values(**values))

    def checks(self) -> list[tuple[str, str | None]]:
        return [(each["status"], each["conclusion"]) for each in self.api.checks.values()]

    def runs(self) -> list[tuple[str, Verdict | None]]:
        return [(run.run_id, run.verdict) for run in Store(self.engine).list()]


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evidence: Path) -> Iterator[Gate]:
    monkeypatch.setenv("FARM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FARM_STORE", f"sqlite:///{tmp_path / 'store.sqlite'}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LC_SECRET", ENVIRONMENT["TOKEN"])  # of a name that is passed on
    api = GitHubApi()
    with served(api.app()) as url:
        yield Gate(tmp_path, api, url, recorded_runs.farm(evidence))
    assert api.problems == []


def test_a_commit_that_passes_is_told_with_its_report_and_runs_without_a_secret(gate: Gate, tmp_path: Path) -> None:
    head = gate.remote.pull(7, {PROGRAM: "faster"})
    job = gate.queue(head)

    gate.work(gate.done)

    [(run_id, _)] = gate.runs()
    assert gate.jobs("state", "verdict", "run_id", "attempts") == [("done", "passed", run_id, 1)]
    assert gate.checks() == [("completed", "success")]
    assert gate.api.mergeable(head)
    assert run_id in gate.api.checks[1]["output"]["summary"]
    assert [each["number"] for each in gate.api.comments.values()] == [7]
    directory = tmp_path / "home" / "service" / "runs" / run_id
    words = json.loads((directory / "words.json").read_text())
    assert words[words.index("--commit") + 1] == head
    assert words[words.index("--base") + 1] == gate.remote.main
    assert "--require-sandbox" not in words
    given = (directory / "environment.json").read_text()
    assert not [secret for secret in ENVIRONMENT.values() if secret in given]
    assert f"run {run_id} of {head}" in (tmp_path / "home" / "service" / "logs" / f"{job}.log").read_text()


@pytest.mark.parametrize(
    ("says", "conclusion", "reason"),
    [
        ("failed", "failure", "it is failed"),
        ("errored", "action_required", "it is errored"),
        ("busy", "action_required", "3 devices asked for"),
    ],
)
def test_every_verdict_has_its_conclusion(gate: Gate, says: str, conclusion: str, reason: str) -> None:
    gate.queue(gate.remote.pull(7, {SAYS: says}))

    gate.work(gate.done)

    assert gate.checks() == [("completed", conclusion)]
    assert not gate.api.mergeable(gate.jobs("head_sha")[0])
    assert gate.jobs("verdict") == ["failed" if says == "failed" else "errored"]
    assert reason in gate.jobs("reason")[0]
    assert ("actions" in gate.api.checks[1]) == (conclusion == "action_required")


def test_a_run_ends_in_the_store_that_farm_toml_names(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gate.config.store.url == os.environ["FARM_STORE"]
    monkeypatch.delenv("FARM_STORE")
    gate.queue(gate.remote.pull(7, {PROGRAM: "faster"}))

    gate.work(gate.done)

    assert gate.jobs("verdict", "attempts") == [("passed", 1)]


def test_a_run_that_is_killed_each_time_ends_errored_and_not_never(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ci.runner.runner.delay_s", lambda attempts, after, chance: 0.0)
    monkeypatch.setattr("ci.runner.run_monitor.MOST_ATTEMPTS", 2)
    gate.queue(gate.remote.pull(7, {SAYS: "dies"}))

    gate.work(gate.done)

    assert gate.jobs("state", "verdict", "attempts") == [("done", "errored", 2)]
    assert [verdict for _, verdict in gate.runs()] == [Verdict.ERRORED, Verdict.ERRORED]
    assert gate.checks() == [("completed", "action_required")]


def test_a_commit_that_is_gone_is_told_at_once(gate: Gate) -> None:
    gate.queue("f" * 40)

    gate.work(gate.done)

    assert gate.jobs("verdict", "run_id") == [("errored", gate.jobs("run_id")[0])]
    assert "has no ffff" in gate.jobs("reason")[0]
    assert gate.runs() == []


def test_a_cancelled_run_is_ended_and_gets_no_verdict(gate: Gate) -> None:
    job = gate.queue(gate.remote.pull(7, {SAYS: "hang"}))
    cancelled: list[bool] = []

    def cancel_once_it_runs() -> bool:
        if not cancelled and gate.runs():
            cancelled.append(True)
            with transaction(gate.engine, "written", write=True) as connection:
                queue = Queue(connection, gate.config, gate.repository)
                queue.cancel_job(job, "by somebody", Actor("somebody", "a test"))
        return gate.done()

    gate.work(cancel_once_it_runs)

    assert gate.jobs("state", "verdict", "reason") == [("cancelled", "", "by somebody")]
    assert gate.checks() == [("completed", "cancelled")]
    assert [verdict for _, verdict in gate.runs()] == [Verdict.ERRORED]
    assert ProcessIdentity.load(gate.jobs("process")[0]).gone()


def test_a_service_that_ends_in_order_ends_its_runs_and_queues_their_jobs(gate: Gate) -> None:
    gate.queue(gate.remote.pull(7, {SAYS: "hang"}))
    process: list[str] = []

    def it_runs() -> bool:
        process[:] = gate.jobs("process")
        return process[0] != "" and bool(gate.runs())

    gate.work(it_runs)

    assert gate.jobs("state", "owner", "process") == [("queued", "", "")]
    assert ProcessIdentity.load(process[0]).gone()


def test_rules_that_change_wait_for_an_approval_and_are_named_in_the_report(gate: Gate) -> None:
    head = gate.remote.pull(7, {"kernel/budgets.toml": "ceiling_us = 9999"})
    gate.queue(head)
    gate.work(gate.done)
    assert gate.jobs("state") == ["held"] and gate.runs() == []
    assert "kernel/budgets.toml" in gate.api.checks[1]["output"]["summary"]

    with transaction(gate.engine, "written", write=True) as connection:
        Queue(connection, gate.config, gate.repository).approve("pull/7", head, "will", "a test")
    gate.work(lambda: gate.done())

    assert gate.checks() == [("completed", "success")]
    assert "judged by those in force" in gate.api.checks[1]["output"]["summary"]


def test_rules_that_only_the_run_finds_changed_hold_its_pass(gate: Gate) -> None:
    gate.queue(gate.remote.pull(7, {SAYS: "rules"}))

    gate.work(gate.done)

    assert gate.jobs("state", "verdict", "reason") == [("held", "", "changes the rules: kernel/rules.py")]
    assert gate.checks() == [("queued", None)]


_GAIN = (
    "implausible gain: tiny takes 20.00 µs instead of 40.00 µs, 50 % less; more than 25 % is implausible: "
    "the largest gain of 9 landed commits is 10 %"
)


def test_a_gain_that_its_history_makes_implausible_holds_a_pass_until_it_is_approved(gate: Gate) -> None:
    head = gate.remote.pull(7, {SAYS: "gains"})
    gate.queue(head)
    gate.work(gate.done)

    assert gate.jobs("state", "verdict", "reason") == [("held", "", _GAIN)]
    assert gate.checks() == [("queued", None)]
    assert "faster than its history makes plausible" in gate.api.checks[1]["output"]["summary"]

    with transaction(gate.engine, "written", write=True) as connection:
        Queue(connection, gate.config, gate.repository).approve("pull/7", head, "will", "a test")
    gate.work(gate.done)

    assert gate.checks() == [("completed", "success")]
    assert "Approved by `will`" in gate.api.checks[1]["output"]["summary"]


def test_an_approval_of_something_else_does_not_approve_a_gain(gate: Gate) -> None:
    head = gate.remote.pull(7, {SAYS: "gains", "kernel/budgets.toml": "ceiling_us = 9999"})
    gate.queue(head)
    gate.work(gate.done)
    with transaction(gate.engine, "written", write=True) as connection:
        Queue(connection, gate.config, gate.repository).approve("pull/7", head, "will", "a test")

    gate.work(gate.done)

    assert gate.jobs("state", "reason") == [("held", _GAIN)]


def test_a_repository_may_expect_larger_gains(gate: Gate) -> None:
    generous = gate.repository.model_copy(update={"plausible_gain": 0.6})
    gate.config = gate.config.model_copy(update={"repository": [generous]})
    gate.queue(gate.remote.pull(7, {SAYS: "gains"}))

    gate.work(gate.done)

    assert gate.checks() == [("completed", "success")]


def test_a_forks_commit_runs_only_in_a_sandbox(gate: Gate, tmp_path: Path) -> None:
    gate.queue(gate.remote.pull(7, {PROGRAM: "x"}), from_fork=True)
    gate.set_jobs(state="queued", approved_by="will")

    gate.work(gate.done)

    words = json.loads((tmp_path / "home" / "service" / "runs" / gate.jobs("run_id")[0] / "words.json").read_text())
    assert "--require-sandbox" in words


def gone() -> ProcessIdentity:
    """A process that was here and is not any more."""
    me = identity.current()
    return ProcessIdentity(me.host, me.boot, me.namespace, me.pid, me.started - 1)


def test_a_dead_services_jobs_are_claimed_anew_followed_or_settled(gate: Gate) -> None:
    dead = Claims(gate.engine, gate.config, gone())
    for number in (7, 8):
        gate.queue(gate.remote.pull(number, {PROGRAM: str(number)}), subject=f"pull/{number}", number=number)
    _, settled = dead.take(2)
    assert dead.started(settled, gone())
    directory = str(Path(os.environ["FARM_HOME"]) / "gone")
    Store(gate.engine).begin(samples.run(run_id=settled.run_id, verdict=None, directory=directory))
    Store(gate.engine).finish(
        samples.run(run_id=settled.run_id, verdict=Verdict.FAILED, reason="was judged", directory=directory)
    )

    gate.work(gate.done)

    assert gate.jobs("verdict", "attempts") == [("passed", 1), ("failed", 1)]
    assert gate.jobs("run_id")[1] == settled.run_id


def queue_sweep(gate: Gate, seeds: int) -> None:
    """What a schedule queues; the recorded farm tells by its seeds what becomes of it."""
    asked = Validate(JobKind.SWEEP, "schedule/nightly", None, "", "", "", False, "", Priority.NIGHTLY)
    terms = SweepTerms(seeds=seeds, repeats=2, budget_minutes=10)
    with transaction(gate.engine, "written", write=True) as connection:
        Queue(connection, gate.config, gate.repository).schedule(asked, JobOptions(schedule="nightly", sweep=terms))


def test_a_sweep_that_finds_a_bad_device_names_it_in_an_issue_and_the_next_clean_one_closes_it(gate: Gate) -> None:
    queue_sweep(gate, seeds=2)
    gate.work(gate.done)

    [issue] = gate.api.issues.values()
    assert gate.jobs("state", "verdict") == [("done", "errored")]
    assert issue["state"] == "open" and issue["title"].startswith("nightly errored: ")
    assert sweep_samples.fleet(2)[1].id in issue["body"]

    queue_sweep(gate, seeds=1)
    gate.work(gate.done)

    assert gate.jobs("verdict") == ["errored", "passed"]
    assert (len(gate.api.issues), issue["state"]) == (1, "closed")
    assert gate.checks() == [], "a sweep is of no commit"


def test_a_sweep_that_is_killed_is_gone_on_with(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ci.runner.runner.delay_s", lambda attempts, after, chance: 0.0)
    queue_sweep(gate, seeds=3)

    gate.work(gate.done)

    assert gate.jobs("state", "verdict", "attempts") == [("done", "passed", 2)]
    assert gate.api.issues == {}
