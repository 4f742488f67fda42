"""From a delivery to the queue and to what the forge is told, against a GitHub on this machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from githubkit import TokenAuthStrategy
from sqlalchemy import Engine, select, update

from ci.config.settings import Config
from ci.forge.github import GitHubForge
from ci.outbox.sender import Sender
from ci.queue.options import JobOptions
from ci.store.engine import open_database
from ci.store.tables import DELIVERY, JOB, OUTBOX
from ci.webhook.catch_up import recover
from ci.webhook.dispatcher import Dispatcher
from ci.webhook.inbox import Inbox, Receipt
from ci.webhook.intake import Delivery
from farm import timestamps
from farm.store import audit_log
from farm.store.engine import transaction
from tests.ci.configuration import configuration
from tests.fakes.github_api import TOKEN, Fault, GitHubApi
from tests.fakes.pulls import pull, sha
from tests.fakes.served import served

pytestmark = pytest.mark.service

REPOSITORY = "octo-org/kernels"
# What locks, compares or claims rows, and so is another thing on each database.
EACH_DATABASE = pytest.mark.parametrize("database_kind", ["sqlite", "postgresql"])


class Gate:
    """A gate without its web server, one step at a time."""

    def __init__(self, engine: Engine, config: Config, api: GitHubApi, url: str) -> None:
        self.engine = engine
        self.config = config
        self.api = api
        self.forges = {"github": GitHubForge(TokenAuthStrategy(TOKEN), url, "https://x.example", timeout_s=2)}
        self._number = 0

    def deliver(self, event: str, payload: dict[str, Any], delivery_id: str = "") -> None:
        """Take a delivery in and do all that follows of it."""
        self._number += 1
        name = delivery_id or f"d{self._number}"
        body = json.dumps(payload)
        Inbox(self.engine).add([Delivery("github", name, event, str(payload.get("action", "")), REPOSITORY, body)])
        self.settle()

    def settle(self) -> None:
        asyncio.run(self._settle())

    async def _settle(self) -> None:
        dispatcher, sender = Dispatcher(self.engine, self.config, self.forges), Sender(self.engine, self.forges)
        while await dispatcher.act_on_next():
            pass
        while await sender.send_due():
            pass

    def push(self, number: int, head: int, action: str = "synchronize", **changes: Any) -> None:
        """Somebody pushes to a pull request, and GitHub says so."""
        self.api.pulls[number] = pull(number, head, **changes)
        self.deliver("pull_request", {"action": action, "pull_request": self.api.pulls[number]})

    def comment(self, text: str, login: str = "will", number: int = 7) -> None:
        self._number += 1
        comment = {"id": 1000 + self._number, "body": text, "user": {"login": login, "type": "User"}}
        payload = {"action": "created", "comment": comment, "issue": {"number": number, "pull_request": {}}}
        self.deliver("issue_comment", payload)

    def jobs(self, *columns: str) -> list[Any]:
        with transaction(self.engine, "read") as connection:
            found = connection.execute(select(*(JOB.c[name] for name in columns)).order_by(JOB.c.sequence)).all()
        return [row[0] if len(columns) == 1 else tuple(row) for row in found]

    def set_jobs(self, **values: str) -> None:
        with transaction(self.engine, "written", write=True) as connection:
            connection.execute(update(JOB).values(**values))

    def outcomes(self) -> list[tuple[str, str]]:
        with transaction(self.engine, "read") as connection:
            query = select(DELIVERY.c.state, DELIVERY.c.outcome).order_by(DELIVERY.c.sequence)
            return [(str(row.state), str(row.outcome)) for row in connection.execute(query)]

    def replies(self) -> list[str]:
        return [each["body"] for each in self.api.comments.values()]

    def checks(self) -> list[tuple[str, str | None]]:
        return [(each["status"], each["conclusion"]) for each in self.api.checks.values()]


@pytest.fixture
def gate(tmp_path: Path, one_url: str) -> Iterator[Gate]:
    engine = open_database(one_url, print)
    api = GitHubApi()
    api.permissions = {"will": "write", "rita": "read"}
    with served(api.app()) as address:
        yield Gate(engine, configuration(tmp_path), api, address)
    engine.dispose()
    assert api.problems == []


@EACH_DATABASE
def test_a_pull_request_is_queued_and_its_check_is_there_at_once(gate: Gate) -> None:
    gate.push(7, 5, "opened")

    assert gate.jobs("subject", "head_sha", "state") == [("pull/7", sha(5), "queued")]
    assert gate.checks() == [("queued", None)]
    assert gate.api.checks[1]["external_id"] == gate.jobs("id")[0]


@EACH_DATABASE
def test_a_newer_commit_cancels_the_older_run(gate: Gate) -> None:
    gate.push(7, 5, "opened")
    gate.push(8, 50, "opened")
    gate.push(7, 6)

    assert gate.jobs("head_sha", "state") == [(sha(5), "cancelled"), (sha(50), "queued"), (sha(6), "queued")]
    assert gate.checks() == [("completed", "cancelled"), ("queued", None), ("queued", None)]


def test_a_run_that_is_under_way_is_asked_to_stop(gate: Gate) -> None:
    gate.push(7, 5, "opened")
    gate.set_jobs(state="running")
    gate.push(7, 6)

    assert gate.jobs("state") == ["cancelling", "queued"]


def test_an_answer_is_a_sentence_that_links_to_the_job(gate: Gate) -> None:
    gate.push(7, 5, "opened")
    gate.comment("/farm run")
    gate.comment("/farm cancel")

    job = gate.jobs("id")[-1]
    queued, cancelled = gate.replies()
    link = f"[{job[:8]}](https://farm.example.org/jobs/{job})"
    assert queued.splitlines()[1:] == [f"Commit {sha(5)[:12]} is queued as job {link}."]
    assert cancelled.splitlines()[1:] == ["Cancelled 1 job, by will."]


@EACH_DATABASE
def test_what_comments_ask_for_is_in_the_audit_log_obeyed_or_not(gate: Gate) -> None:
    gate.push(7, 5, "opened")
    gate.comment("/farm cancel", login="rita")
    gate.comment("/farm cancel")
    gate.comment("/farm cancel")
    gate.comment("/farm run")
    gate.comment(f"/farm approve {sha(5)}")
    gate.comment("/farm help", login="rita")

    with transaction(gate.engine, "read") as connection:
        found = audit_log.entries(connection, 20)[::-1]
    assert [(each.actor, each.action.value, each.outcome) for each in found] == [
        ("rita@github", "cancelled", "refused: no write access"),
        ("will@github", "cancelled", "done"),
        ("will@github", "cancelled", "refused: no job of it is open"),
        ("will@github", "submitted", "done"),
        ("will@github", "approved", "refused: no job of this commit is held"),
    ]
    assert all(each.origin.startswith("comment ") and each.origin.endswith(" on pull/7") for each in found)
    assert found[1].subject == gate.jobs("id")[0]


@EACH_DATABASE
def test_the_same_commit_is_not_validated_twice_by_itself(gate: Gate) -> None:
    gate.push(7, 5, "opened")
    gate.push(7, 5, "ready_for_review")

    assert gate.jobs("state") == ["queued"]
    assert gate.outcomes()[-1] == ("done", f"commit {sha(5)[:12]} is queued already, as job {gate.jobs('id')[-1]}")


def test_a_delivery_that_was_overtaken_does_not_bring_the_old_commit_back(gate: Gate) -> None:
    gate.push(7, 5, "opened")
    old = {"action": "synchronize", "pull_request": pull(7, 5)}
    gate.push(7, 6)
    gate.deliver("pull_request", old)

    assert gate.jobs("head_sha", "state") == [(sha(5), "cancelled"), (sha(6), "queued")]


def test_a_closed_pull_request_and_a_draft_free_their_place(gate: Gate) -> None:
    gate.push(7, 5, "opened")
    gate.push(7, 5, "closed", state="closed")
    gate.push(8, 50, "opened")
    gate.push(8, 51, draft=True)

    assert gate.jobs("state") == ["cancelled", "cancelled"]


@EACH_DATABASE
def test_a_fork_waits_until_exactly_its_commit_is_approved(gate: Gate) -> None:
    gate.push(7, 5, "opened", fork=True)
    assert gate.checks() == [("queued", None)]
    assert f"/farm approve {sha(5)}" in gate.api.checks[1]["output"]["summary"]

    gate.comment(f"/farm approve {sha(4)}")
    assert gate.jobs("state") == ["held"]
    gate.comment(f"/farm approve {sha(5)}", login="rita")
    assert gate.jobs("state") == ["held"]
    gate.comment(f"/farm approve {sha(5)}")
    assert gate.jobs("state", "approved_by") == [("queued", "will")]
    assert gate.api.checks[1]["output"]["title"] == "Queued, approved by will"

    gate.push(7, 6, fork=True)
    assert gate.jobs("state") == ["cancelled", "held"]


def test_asking_for_a_run_is_no_approval(gate: Gate) -> None:
    gate.push(7, 5, "opened", fork=True)
    gate.comment("/farm run")

    assert gate.jobs("state") == ["cancelled", "held"]


def test_commands_are_obeyed_and_answered(gate: Gate) -> None:
    gate.push(7, 5, "opened")
    gate.set_jobs(state="done")
    gate.comment("/farm run --devices 5 --case tiny")
    gate.comment("/farm cancel")

    assert gate.jobs("state") == ["done", "cancelled"]
    assert JobOptions.model_validate_json(gate.jobs("options")[1]) == JobOptions(devices=5, cases=["tiny"])
    assert len(gate.replies()) == 2
    assert "Cancelled 1 job, by will." in gate.replies()[1]


def test_an_unknown_command_gets_help_in_which_nothing_of_it_has_a_meaning(gate: Gate) -> None:
    gate.push(7, 5, "opened")
    gate.comment("/farm @everyone`<img>")

    [reply] = gate.replies()
    assert "/farm run" in reply
    assert "``" in reply.splitlines()[1]  # a fence longer than what is in it


def test_people_without_write_access_get_one_answer_in_all(gate: Gate) -> None:
    gate.push(7, 5, "opened")
    for _ in range(3):
        gate.comment("/farm cancel", login="rita")

    assert gate.jobs("state") == ["queued"]
    [reply] = gate.replies()
    assert "write access" in reply


def test_a_stranger_the_forge_does_not_know_is_not_obeyed(gate: Gate) -> None:
    gate.push(7, 5, "opened")
    gate.comment("/farm cancel", login="nobody")

    assert gate.jobs("state") == ["queued"]


@EACH_DATABASE
def test_a_rerequested_check_gets_another_verdict_under_the_same_terms(gate: Gate) -> None:
    gate.push(7, 5, "opened")
    gate.comment("/farm run --devices 5")
    gate.set_jobs(state="done")
    last = gate.jobs("id")[-1]
    gate.deliver("check_run", {"action": "rerequested", "check_run": {"head_sha": sha(5), "external_id": last}})

    assert gate.jobs("state") == ["done", "done", "queued"]
    assert gate.jobs("options")[-1] == gate.jobs("options")[-2]


@EACH_DATABASE
def test_a_merge_group_has_its_own_check_and_is_dropped_when_destroyed(gate: Gate) -> None:
    ref = "refs/heads/gh-readonly-queue/main/pr-7-abc"
    group = {"head_sha": sha(20), "head_ref": ref, "base_sha": sha(1), "base_ref": "refs/heads/main"}
    gate.deliver("merge_group", {"action": "checks_requested", "merge_group": group})
    assert gate.jobs("kind", "priority", "state") == [("merge-group", "merge-queue", "queued")]

    gate.deliver("merge_group", {"action": "destroyed", "reason": "dequeued", "merge_group": group})
    assert gate.jobs("state") == ["cancelled"]


@EACH_DATABASE
def test_a_delivery_waits_for_the_forge_and_holds_up_no_other(gate: Gate) -> None:
    gate.api.faults.append(Fault(502, method="GET"))
    gate.push(7, 5, "opened")
    gate.push(8, 50, "opened")
    assert gate.jobs("subject") == ["pull/8"]

    with transaction(gate.engine, "written", write=True) as connection:
        connection.execute(update(DELIVERY).values(next_at=timestamps.as_text(timestamps.utc_now())))
    gate.settle()
    assert gate.jobs("subject") == ["pull/8", "pull/7"]


def test_a_delivery_of_what_the_forge_no_longer_knows_is_closed_and_says_so(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    gone = pull(9, 5)

    gate.deliver("pull_request", {"action": "opened", "pull_request": gone}, delivery_id="late")
    gate.push(7, 6, "opened")

    state, outcome = gate.outcomes()[0]
    assert state == "done"
    assert outcome.startswith("nothing was done: the forge knows nothing of it any more: ")
    assert "(HTTP 404)" in outcome
    (line,) = [each.getMessage() for each in caplog.records if "late" in each.getMessage()]
    assert line == f"delivery late, pull_request opened of {REPOSITORY}: {outcome}"
    assert gate.jobs("head_sha") == [sha(6)]


def test_a_refusal_that_is_not_about_something_gone_says_that_instead(gate: Gate) -> None:
    gate.api.faults.append(Fault(422, method="GET"))

    gate.push(7, 5, "opened")

    assert gate.outcomes()[0][1].startswith("nothing was done: the forge refuses what it takes: ")


@EACH_DATABASE
def test_what_is_not_understood_is_kept_and_tried_again_when_redelivered(gate: Gate) -> None:
    gate.deliver("pull_request", {"action": "opened"}, delivery_id="odd")
    assert gate.outcomes()[0][0] == "failed"
    assert "pull_request: pull_request: Field required" in gate.outcomes()[0][1]

    again = Delivery("github", "odd", "ping", "", REPOSITORY, "{}")
    assert Inbox(gate.engine).add([again]) == [Receipt.RETRIED]
    assert Inbox(gate.engine).add([again]) == [Receipt.REPLAYED]


@EACH_DATABASE
def test_a_delivery_is_acted_on_once_by_many_gates(gate: Gate) -> None:
    gate.api.pulls[7] = pull(7, 5)
    comment = {"id": 1, "body": "/farm run", "user": {"login": "will", "type": "User"}}
    payload = {"action": "created", "comment": comment, "issue": {"number": 7, "pull_request": {}}}
    body = json.dumps(payload)
    Inbox(gate.engine).add([Delivery("github", "d", "issue_comment", "created", REPOSITORY, body)])

    async def together() -> None:
        gates = [Dispatcher(gate.engine, gate.config, gate.forges) for _ in range(5)]
        await asyncio.gather(*(each.act_on_next() for each in gates))

    asyncio.run(together())

    assert gate.jobs("state") == ["queued"]


@EACH_DATABASE
def test_what_was_missed_is_found_by_asking(gate: Gate) -> None:
    gate.push(7, 5, "opened")
    gate.push(8, 50, "opened")
    gate.api.pulls = {7: pull(7, 6), 9: pull(9, 60), 10: pull(10, 70, draft=True)}
    gate.api.hook_url = "https://x.example"
    gate.api.deliveries = [
        {
            "id": 3,
            "guid": "g",
            "delivered_at": timestamps.as_text(timestamps.utc_now()),
            "status_code": 502,
            "action": None,
        }
    ]

    asyncio.run(recover(gate.engine, gate.config, gate.forges))

    assert sorted(gate.jobs("subject", "head_sha", "state")) == [
        ("pull/7", sha(5), "cancelled"),
        ("pull/7", sha(6), "queued"),
        ("pull/8", sha(50), "cancelled"),
        ("pull/9", sha(60), "queued"),
    ]
    assert 3 in gate.api.redelivered


def test_a_forge_that_is_away_at_start_stops_nothing(gate: Gate) -> None:
    gate.api.faults.append(Fault(503))

    asyncio.run(recover(gate.engine, gate.config, gate.forges))

    assert gate.jobs("id") == []


@EACH_DATABASE
def test_everything_the_forge_is_told_of_a_job_is_told_in_order(gate: Gate) -> None:
    gate.push(7, 5, "opened", fork=True)
    gate.comment(f"/farm approve {sha(5)}")
    gate.comment("/farm cancel")

    assert gate.checks() == [("completed", "cancelled")]
    with transaction(gate.engine, "read") as connection:
        assert set(connection.execute(select(OUTBOX.c.state)).scalars()) == {"sent"}
