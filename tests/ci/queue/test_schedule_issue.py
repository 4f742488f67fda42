"""What becomes of a schedule's jobs at the forge: one issue, open while the last job did not pass; and who is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from githubkit import TokenAuthStrategy
from sqlalchemy import Engine, select, update

from ci.config.settings import Config, load
from ci.forge.github import GitHubForge
from ci.notify.notice import Notice
from ci.outbox.sender import Sender
from ci.queue import schedule_issue
from ci.queue.intents import Validate
from ci.queue.job_queue import Queue
from ci.queue.options import JobOptions
from ci.store.engine import open_database
from ci.store.states import JobKind, JobState, Operation
from ci.store.tables import JOB, OUTBOX
from farm import timestamps
from farm.model.priority import Priority
from farm.model.run import Verdict
from farm.store.engine import transaction
from tests.ci.configuration import ENVIRONMENT, TEXT
from tests.fakes.github_api import TOKEN, Fault, GitHubApi
from tests.fakes.pulls import sha
from tests.fakes.served import served

CHANNEL = """
[[notify]]
name = "team"
kind = "chat"
events = ["night-broken", "night-mended", "failed", "held"]
url = { env = "HOOK_URL" }
"""


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path / 'store.sqlite'}", print)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "farm.toml"
    path.write_text(TEXT.format(api_url="https://api.github.com", at_once=0) + CHANNEL)
    return load(path, {**ENVIRONMENT, "HOOK_URL": "https://hooks.example.org/T0"})


def night(engine: Engine, config: Config, verdict: Verdict, reason: str = "why", schedule: str = "nightly") -> None:
    """One job of a schedule ("" for a commit that somebody submitted) that ends with `verdict`."""
    repository = config.find("github", "octo-org/kernels")
    assert repository is not None
    kind, subject = (JobKind.SWEEP, f"schedule/{schedule}") if schedule else (JobKind.COMMIT, f"commit/{sha(1)}")
    head = "" if schedule else sha(1)
    asked = Validate(kind, subject, None, head, "", "", False, "", Priority.NIGHTLY)
    with transaction(engine, "written", write=True) as connection:
        Queue(connection, config, repository).schedule(asked, JobOptions(schedule=schedule))
        job = connection.execute(select(JOB).order_by(JOB.c.sequence.desc()).limit(1)).one()
        connection.execute(update(JOB).where(JOB.c.id == job.id).values(state=JobState.DONE.value))
        schedule_issue.settled(connection, config, job, verdict, reason, f"## the report of {reason}")


def posted(engine: Engine, operation: Operation) -> list[Any]:
    with transaction(engine, "read") as connection:
        rows = select(OUTBOX).where(OUTBOX.c.operation == operation.value).order_by(OUTBOX.c.sequence)
        return list(connection.execute(rows).all())


def told(engine: Engine) -> list[str]:
    return [Notice.model_validate_json(row.payload).event.value for row in posted(engine, Operation.NOTICE)]


def test_a_night_that_passes_says_nothing(engine: Engine, config: Config) -> None:
    night(engine, config, Verdict.PASSED)

    assert posted(engine, Operation.ISSUE) == []
    assert told(engine) == []


def test_what_is_of_no_schedule_opens_no_issue(engine: Engine, config: Config) -> None:
    night(engine, config, Verdict.FAILED, schedule="")

    assert posted(engine, Operation.ISSUE) == []
    assert told(engine) == ["failed"]


def test_people_hear_when_a_schedule_breaks_and_when_it_is_mended(engine: Engine, config: Config) -> None:
    for verdict in (Verdict.ERRORED, Verdict.ERRORED, Verdict.PASSED, Verdict.PASSED):
        night(engine, config, verdict)

    assert told(engine) == ["night-broken", "night-mended"]


def test_a_commit_that_waits_for_an_approval_is_told_of_once(engine: Engine, config: Config) -> None:
    repository = config.find("github", "octo-org/kernels")
    assert repository is not None
    asked = Validate(JobKind.PULL_REQUEST, "pull/7", 7, sha(1), sha(2), "main", True, "mona", Priority.PULL_REQUEST)
    for _ in range(2):
        with transaction(engine, "written", write=True) as connection:
            Queue(connection, config, repository).validate(asked)

    assert told(engine) == ["held"]


@pytest.fixture
def api() -> Iterator[GitHubApi]:
    api = GitHubApi()
    yield api
    assert api.problems == []


@pytest.mark.service
def test_one_issue_tells_of_all_nights_through_an_outage(engine: Engine, config: Config, api: GitHubApi) -> None:
    seen = []
    with served(api.app()) as url:
        forge = GitHubForge(TokenAuthStrategy(TOKEN), url, "https://x.example", timeout_s=2)
        sender = Sender(engine, {"github": forge})
        for number, verdict in enumerate(
            [Verdict.ERRORED, Verdict.FAILED, Verdict.PASSED, Verdict.PASSED, Verdict.ERRORED], start=1
        ):
            night(engine, config, verdict, f"reason {number}")
            if number == 1:
                api.faults.append(Fault(502, applied=True, method="POST"))
                asyncio.run(sender.send_due())
                past_the_wait(engine)
            asyncio.run(sender.send_due())
            past_the_wait(engine)
            seen.append((len(api.issues), api.issues[1]["state"], api.issues[1]["title"]))

    assert seen == [
        (1, "open", "nightly errored: reason 1"),
        (1, "open", "nightly failed: reason 2"),
        (1, "closed", "nightly passed: reason 3"),
        (1, "closed", "nightly passed: reason 3"),
        (1, "open", "nightly errored: reason 5"),
    ]
    assert "## the report of reason 5" in api.issues[1]["body"]


def past_the_wait(engine: Engine) -> None:
    with transaction(engine, "written", write=True) as connection:
        connection.execute(update(OUTBOX).values(next_at=timestamps.as_text(datetime.now(timezone.utc) - timedelta(1))))


@pytest.mark.service
def test_two_schedules_have_an_issue_each(engine: Engine, config: Config, api: GitHubApi) -> None:
    night(engine, config, Verdict.ERRORED, schedule="sweep")
    night(engine, config, Verdict.ERRORED, schedule="sweep-pro")
    with served(api.app()) as url:
        forge = GitHubForge(TokenAuthStrategy(TOKEN), url, "https://x.example", timeout_s=2)
        asyncio.run(Sender(engine, {"github": forge}).send_due())

    assert sorted(each["title"] for each in api.issues.values()) == ["sweep errored: why", "sweep-pro errored: why"]
