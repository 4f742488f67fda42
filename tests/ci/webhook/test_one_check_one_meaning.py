"""The required check means one thing: this commit passed all that is configured, against the branch it goes into."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from ci.queue.claims import Claims, JobClaim
from ci.queue.outcome import JobOutcome
from ci.store.tables import JOB
from farm.model.audit import AuditAction
from farm.model.run import Verdict
from farm.process import identity
from farm.store import audit_log
from farm.store.engine import transaction
from tests.ci.webhook.test_dispatcher import EACH_DATABASE, Gate, gate
from tests.fakes.pulls import sha

pytestmark = pytest.mark.service

__all__ = ["gate"]


def end(gate: Gate, subject: str, verdict: Verdict) -> None:
    """Execute what is queued of a subject, with this end."""
    claims = Claims(gate.engine, gate.config.model_copy(), identity.current())
    claimed: list[JobClaim] = claims.take(100)
    for claim in claimed:
        if claim.subject == subject:
            claims.settle(claim, JobOutcome(verdict, f"it is {verdict.value}"))
        else:
            claims.put_back(claim, "not its turn")
    gate.settle()


def retarget(gate: Gate, number: int, branch: str) -> None:
    payload: dict[str, Any] = gate.api.pulls[number]
    payload["base"] = {**payload["base"], "ref": branch}
    changes = {"base": {"ref": {"from": "main"}, "sha": {"from": sha(1)}}}
    gate.deliver("pull_request", {"action": "edited", "changes": changes, "pull_request": payload})


def press_retry(gate: Gate, check: int) -> None:
    run = {"head_sha": gate.api.checks[check]["head_sha"], "external_id": gate.api.checks[check]["external_id"]}
    pressed = {"action": "requested_action", "requested_action": {"identifier": "retry"}, "check_run": run}
    gate.deliver("check_run", {**pressed, "sender": {"login": "will"}})


@pytest.mark.parametrize("command", ["/farm run --case flash-s2", "/farm run --devices 1"])
def test_a_narrowed_run_never_meets_the_required_check(gate: Gate, command: str) -> None:
    gate.push(7, 5, "opened")
    gate.comment(command)
    assert gate.jobs("state") == ["queued", "queued"], "the whole validation is still wanted"

    with transaction(gate.engine, "read") as connection:
        narrowed = connection.execute(select(JOB.c.id).order_by(JOB.c.sequence.desc()).limit(1)).scalar()
    claims = Claims(gate.engine, gate.config, identity.current())
    for claim in claims.take(2):
        if claim.id == narrowed:
            claims.settle(claim, JobOutcome(Verdict.PASSED, "all is well"))
    gate.settle()

    assert [check["name"] for check in gate.api.checks.values()] == ["npu-kernel-farm", "npu-kernel-farm (narrowed)"]
    assert gate.api.checks[2]["conclusion"] == "success" and not gate.api.mergeable(sha(5))
    assert [each["body"].split("\n")[0] for each in gate.api.comments.values()][-1].endswith("narrowed report -->")


def test_a_narrowed_run_does_not_stand_in_for_the_whole_one(gate: Gate) -> None:
    gate.push(7, 5, "opened", draft=True)
    gate.comment("/farm run --case flash-s2")
    end(gate, "pull/7", Verdict.PASSED)

    gate.push(7, 5, "ready_for_review")

    assert gate.jobs("state") == ["done", "queued"]
    assert not gate.api.mergeable(sha(5))


def test_more_devices_than_configured_are_the_whole_validation(gate: Gate) -> None:
    gate.push(7, 5, "opened")
    gate.comment("/farm run --devices 5")
    end(gate, "pull/7", Verdict.PASSED)

    assert gate.api.mergeable(sha(5))


def test_a_push_to_a_branch_meets_no_pull_requests_check(gate: Gate) -> None:
    repository = {"full_name": "octo-org/kernels", "default_branch": "main"}
    push = {"ref": "refs/heads/main", "after": sha(5), "before": sha(1), "deleted": False, "repository": repository}
    gate.deliver("push", push)
    end(gate, "refs/heads/main", Verdict.PASSED)

    assert gate.api.checks[1]["conclusion"] == "success" and not gate.api.mergeable(sha(5))


@EACH_DATABASE
def test_a_retargeted_pull_request_is_judged_anew_and_approved_anew(gate: Gate) -> None:
    gate.push(7, 5, "opened", fork=True)
    gate.comment(f"/farm approve {sha(5)}")
    end(gate, "pull/7", Verdict.PASSED)
    assert gate.api.mergeable(sha(5))

    retarget(gate, 7, "release")

    assert gate.jobs("base_ref", "state", "approved_by") == [("main", "done", "will"), ("release", "held", "")]
    assert not gate.api.mergeable(sha(5))


def test_an_edited_title_changes_nothing(gate: Gate) -> None:
    gate.push(7, 5, "opened")
    gate.comment("/farm cancel")
    changes = {"title": {"from": "x"}}
    gate.deliver("pull_request", {"action": "edited", "changes": changes, "pull_request": gate.api.pulls[7]})

    assert gate.jobs("state") == ["cancelled"]


@EACH_DATABASE
def test_a_draft_again_and_a_closed_pull_request_stop_and_a_reopened_one_is_judged_anew(gate: Gate) -> None:
    gate.push(7, 5, "opened")
    gate.push(7, 5, "converted_to_draft", draft=True)
    assert gate.jobs("state") == ["cancelled"]

    gate.push(7, 5, "ready_for_review")
    end(gate, "pull/7", Verdict.PASSED)
    gate.push(7, 5, "closed", state="closed")
    gate.push(7, 5, "reopened")

    assert gate.jobs("state") == ["cancelled", "done", "queued"]
    assert not gate.api.mergeable(sha(5)), "until it has passed again"


def test_one_reopened_while_its_run_still_stops_is_not_forgotten(gate: Gate) -> None:
    gate.push(7, 5, "opened")
    gate.set_jobs(state="running")
    gate.push(7, 5, "closed", state="closed")
    gate.push(7, 5, "reopened")

    assert gate.jobs("state") == ["cancelling", "queued"]


@pytest.mark.parametrize("bad", [Verdict.FAILED, Verdict.ERRORED])
@pytest.mark.parametrize("order", [(7, 8), (8, 7)])
def test_of_two_pull_requests_with_one_head_both_must_pass(gate: Gate, bad: Verdict, order: tuple[int, int]) -> None:
    first, second = order
    for number in (7, 8):
        gate.push(number, 5, "opened")
    end(gate, f"pull/{first}", Verdict.PASSED)
    assert not gate.api.mergeable(sha(5)), "the other one is not judged yet"
    end(gate, f"pull/{second}", bad)
    assert not gate.api.mergeable(sha(5))
    assert {check["conclusion"] for check in gate.api.checks.values()} == {
        "failure" if bad is Verdict.FAILED else "action_required"
    }

    gate.push(second, 5, "closed", state="closed")

    assert gate.api.mergeable(sha(5)), "nobody waits for the other one any more"


@EACH_DATABASE
def test_both_of_one_head_pass_and_either_can_be_merged(gate: Gate) -> None:
    for number in (7, 8):
        gate.push(number, 5, "opened")
    for number in (7, 8):
        end(gate, f"pull/{number}", Verdict.PASSED)

    assert gate.checks() == [("completed", "success")] * 2
    assert gate.api.checks[1]["output"]["title"].startswith("passed")


@EACH_DATABASE
def test_one_that_moves_on_to_another_head_holds_up_nobody(gate: Gate) -> None:
    for number in (7, 8):
        gate.push(number, 5, "opened")
    end(gate, "pull/7", Verdict.PASSED)
    gate.push(8, 6)

    assert gate.api.mergeable(sha(5)) and not gate.api.mergeable(sha(6))


@EACH_DATABASE
def test_five_clicks_on_retry_make_one_job_and_say_who_wanted_it(gate: Gate) -> None:
    gate.push(7, 5, "opened")
    end(gate, "pull/7", Verdict.ERRORED)
    assert gate.api.checks[1]["actions"] and not gate.api.mergeable(sha(5))

    for _ in range(5):
        press_retry(gate, 1)
    end(gate, "pull/7", Verdict.ERRORED)
    press_retry(gate, 1)

    assert gate.jobs("state", "reason") == [("done", "it is errored"), ("done", "it is errored")]
    press_retry(gate, 2)
    assert gate.jobs("state") == ["done", "done", "queued"]
    with transaction(gate.engine, "read") as connection:
        found = [(each.actor, each.action) for each in audit_log.entries(connection, 10)]
    assert found == [("will@github", AuditAction.RETRIED)] * 2


def test_an_approval_is_in_the_audit_log(gate: Gate) -> None:
    gate.push(7, 5, "opened", fork=True)
    gate.comment(f"/farm approve {sha(5)}")

    with transaction(gate.engine, "read") as connection:
        [entry] = audit_log.entries(connection, 10, subject=gate.jobs("id")[0])
    assert (entry.actor, entry.action) == ("will@github", AuditAction.APPROVED)
    assert sha(5) in entry.detail
