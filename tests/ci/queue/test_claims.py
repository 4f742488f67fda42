"""Claims of jobs, on each kind of database: whoever is faster has a job, and who has lost one changes nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from ci.config.settings import Config, load
from ci.notify.notice import Notice
from ci.queue.claims import LEASE, Claims
from ci.queue.intents import Validate
from ci.queue.job_queue import Queue
from ci.queue.outcome import JobOutcome
from ci.store.engine import open_database
from ci.store.states import JobKind, JobState, Operation
from ci.store.tables import JOB, OUTBOX
from farm import timestamps
from farm.model.audit import Actor
from farm.model.device_health import EventKind, HealthEvent
from farm.model.priority import Priority
from farm.model.run import Verdict
from farm.process import identity
from farm.process.identity import ProcessIdentity
from farm.store import health_store
from farm.store.engine import transaction
from tests.ci.configuration import ENVIRONMENT, configuration


class Jobs:
    """A queue, and who claims from it."""

    def __init__(self, directory: Path, url: str, channel: str = "") -> None:
        self.config: Config = configuration(directory)
        if channel:
            (directory / "farm.toml").write_text((directory / "farm.toml").read_text() + channel)
            secrets = {**ENVIRONMENT, "HOOK_URL": "https://hooks.example.org/T0"}
            self.config = load(directory / "farm.toml", secrets)
        self.engine: Engine = open_database(url, print)
        found = self.config.find("github", "octo-org/kernels")
        assert found is not None
        self.repository = found

    def queue(self, number: int, priority: Priority = Priority.PULL_REQUEST) -> None:
        """A commit of a pull request of that number."""
        terms: dict[str, Any] = {"subject": f"pull/{number}", "number": number, "head_sha": f"{number:040x}"}
        terms |= {"base_sha": "", "base_ref": "main", "from_fork": False, "author": "x", "priority": priority}
        with transaction(self.engine, "written", write=True) as connection:
            Queue(connection, self.config, self.repository).validate(Validate(kind=JobKind.PULL_REQUEST, **terms))

    def cancel(self) -> None:
        """Everything."""
        with transaction(self.engine, "written", write=True) as connection:
            for job_id in self.rows("id"):
                queue = Queue(connection, self.config, self.repository)
                queue.cancel_job(job_id[0], "by somebody", Actor("somebody", "a test"))

    def claims(self, who: ProcessIdentity) -> Claims:
        """The claims of a service."""
        return Claims(self.engine, self.config, who)

    def rows(self, *names: str) -> list[tuple[Any, ...]]:
        """Columns of all jobs, all columns where none is named."""
        columns = [JOB.c[name] for name in names] or list(JOB.c)
        with transaction(self.engine, "read") as connection:
            found = connection.execute(select(*columns).order_by(JOB.c.sequence)).all()
        return [tuple(row) for row in found]

    def set(self, **values: str) -> None:
        """Change every job."""
        with transaction(self.engine, "written", write=True) as connection:
            connection.execute(update(JOB).values(**values))


@pytest.fixture
def jobs(tmp_path: Path, url: str) -> Iterator[Jobs]:
    made = Jobs(tmp_path, url)
    yield made
    made.engine.dispose()


ME = identity.current()
DEAD = ProcessIdentity(ME.host, ME.boot, ME.namespace, ME.pid, ME.started - 1)  # a process of that number that is gone
ELSEWHERE = ProcessIdentity("another-host", "boot", "pid:[1]", 1, 1)


def test_who_has_lost_a_job_changes_nothing_of_it(jobs: Jobs) -> None:
    jobs.queue(7)
    slow, fast = jobs.claims(DEAD), jobs.claims(ME)
    [claim] = slow.take(1)
    assert fast.take(1) == []
    [taken] = fast.adopt()
    before = jobs.rows()

    slow.put_back(claim, "x")
    slow.hold(claim, "x", "x")
    slow.say(claim, "x", "x")

    assert not slow.settle(claim, JobOutcome(Verdict.PASSED, "x"))
    assert (slow.started(claim, ME), slow.look([claim.id])) == (False, {})
    assert jobs.rows() == before
    assert fast.look([taken.id]) == {taken.id: JobState.RUNNING}


CHANNEL = """
[[notify]]
name = "keepers"
kind = "chat"
events = ["{event}"]
url = {{ env = "HOOK_URL" }}
"""


def sick(device: str, run_id: str, kind: EventKind = EventKind.VOTE_LOST) -> HealthEvent:
    """An event of a device, in a run of now."""
    return HealthEvent(
        device, "a2a3sim", timestamps.as_text(timestamps.utc_now()), kind, f"{kind.value} of {device}", run_id
    )


@pytest.mark.parametrize(("event", "notices"), [("device-out", 1), ("failed", 0)])
def test_whoever_asks_hears_which_devices_a_run_has_taken_out(
    tmp_path: Path, url: str, event: str, notices: int
) -> None:
    jobs = Jobs(tmp_path, url, CHANNEL.format(event=event))
    jobs.queue(7)
    claims = jobs.claims(ME)
    health_store.observe(jobs.engine, [sick("n/9", "earlier")])
    [claim] = claims.take(1)
    mine = [sick("n/2", claim.run_id), sick("n/9", claim.run_id), sick("n/1", claim.run_id, EventKind.TRIAL_OK)]
    health_store.observe(jobs.engine, [*mine, sick("n/3", "another run"), sick("n/2", claim.run_id)])

    assert claims.settle(claim, JobOutcome(Verdict.ERRORED, "a device lost the vote"))

    with transaction(jobs.engine, "read") as connection:
        query = select(OUTBOX.c.payload).where(OUTBOX.c.operation == Operation.NOTICE.value)
        told = [Notice.model_validate_json(str(payload)) for payload in connection.execute(query).scalars()]
    jobs.engine.dispose()
    assert [each.reason for each in told] == ["n/2 is quarantined: vote-lost of n/2"] * notices
    assert [each.title for each in told] == [f"device-out: octo-org/kernels pull/7 {7:040x}"[:48]] * notices


def test_the_merge_queue_goes_first_and_then_the_oldest(jobs: Jobs) -> None:
    order = (Priority.NIGHTLY, Priority.PULL_REQUEST, Priority.PULL_REQUEST, Priority.MERGE_QUEUE)
    for number, priority in enumerate(order, 1):
        jobs.queue(number, priority)

    assert [claim.number for _ in order for claim in jobs.claims(ME).take(1)] == [4, 2, 3, 1]


def test_many_services_at_once_have_each_job_once(jobs: Jobs) -> None:
    for number in range(1, 13):
        jobs.queue(number)
    services = [jobs.claims(ProcessIdentity(ME.host, ME.boot, ME.namespace, 10_000 + each, 1)) for each in range(4)]

    with ThreadPoolExecutor(4) as pool:
        taken = [claim.number for found in pool.map(lambda service: service.take(5), services) for claim in found]

    assert len(taken) == len(set(taken)) > 0


def test_a_job_has_one_verdict(jobs: Jobs) -> None:
    jobs.queue(7)
    claims = jobs.claims(ME)
    [claim] = claims.take(1)

    assert claims.settle(claim, JobOutcome(Verdict.FAILED, "wrong numbers"))
    assert not claims.settle(claim, JobOutcome(Verdict.PASSED, "right after all"))

    assert jobs.rows("state", "verdict", "reason") == [("done", "failed", "wrong numbers")]


def test_a_job_that_was_cancelled_meanwhile_is_not_started_and_gets_no_verdict(jobs: Jobs) -> None:
    jobs.queue(7)
    claims = jobs.claims(ME)
    [claim] = claims.take(1)
    jobs.cancel()

    assert not claims.started(claim, ME)
    assert claims.look([claim.id]) == {claim.id: JobState.CANCELLING}
    claims.settle(claim, JobOutcome(Verdict.PASSED, "x"))

    assert jobs.rows("state", "verdict") == [("cancelled", "")]


def test_a_job_that_was_put_back_waits_as_long_as_it_was_told(jobs: Jobs) -> None:
    jobs.queue(7)
    claims = jobs.claims(ME)
    [claim] = claims.take(1)
    claims.put_back(claim, "the forge is away", 3600)
    assert claims.take(1) == []

    jobs.set(next_at=timestamps.as_text(timestamps.utc_now()))

    assert [again.attempts for again in claims.take(1)] == [2]


def test_a_service_of_another_machine_loses_its_jobs_by_silence_alone(jobs: Jobs) -> None:
    jobs.queue(7)
    jobs.claims(ELSEWHERE).take(1)
    assert jobs.claims(ME).adopt() == []

    jobs.set(seen_at=timestamps.as_text(timestamps.utc_now() - 2 * LEASE))

    assert [claim.number for claim in jobs.claims(ME).adopt()] == [7]
