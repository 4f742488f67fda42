"""GitLab's webhooks: who sent one, and what it asks for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr

from ci.errors import RejectedDeliveryError
from ci.queue.intents import Validate
from ci.store.states import JobKind
from ci.webhook.asked import Ask, Intent, Nothing
from ci.webhook.commands import Run
from ci.webhook.events import PayloadError, intents
from ci.webhook.intake import Delivery, read_delivery, read_headers
from tests.fakes.pulls import sha

SECRETS = [SecretStr("an older secret token"), SecretStr("the secret token of the webhook")]
HEADERS = {
    "content-type": "application/json",
    "x-gitlab-event": "Merge Request Hook",
    "x-gitlab-event-uuid": "13792a34-cac6-4fda-95a8-c58e00a3954e",
    "x-gitlab-token": SECRETS[1].get_secret_value(),
}
PROJECT = {"id": 15, "path_with_namespace": "octo-org/kernels", "default_branch": "main"}


def merge_request(action: str, changes: dict[str, Any] | None = None, **more: Any) -> str:
    """The payload that GitLab documents, without what nobody reads here."""
    attributes = {
        "id": 99,
        "iid": 7,
        "source_branch": "change",
        "target_branch": "main",
        "source_project_id": 15,
        "target_project_id": 15,
        "state": "opened",
        "draft": False,
        "last_commit": {"id": sha(5), "message": "fixed readme"},
        "action": action,
        **more,
    }
    told = {"object_kind": "merge_request", "project": PROJECT, "object_attributes": attributes}
    return json.dumps({**told, "changes": changes or {}})


def note(text: str, **more: Any) -> str:
    attributes = {"id": 1244, "note": text, "noteable_type": "MergeRequest", "system": False, **more}
    told = {"object_kind": "note", "user": {"username": "ann"}, "project": PROJECT, "merge_request": {"iid": 7}}
    return json.dumps({**told, "object_attributes": attributes})


def push(ref: str, before: str, after: str) -> str:
    return json.dumps({"object_kind": "push", "ref": ref, "before": before, "after": after, "project": PROJECT})


def taken(body: str, **changes: str) -> Delivery:
    headers = {**HEADERS, **{name.replace("_", "-"): value for name, value in changes.items()}}
    return read_delivery("lab", read_headers(headers, 10_000, "gitlab"), body.encode(), SECRETS)


def one(event: str, body: str) -> Intent:
    [found] = intents(event, body)
    return found


def test_a_delivery_with_a_known_token_is_taken() -> None:
    delivery = taken(merge_request("open"))

    assert (delivery.forge, delivery.event, delivery.action) == ("lab", "merge_request_hook", "open")
    assert delivery.repository == "octo-org/kernels"
    assert taken(merge_request("open"), x_gitlab_token=SECRETS[0].get_secret_value()) == delivery


@pytest.mark.parametrize("token", ["", "the secret token", "the secret token of the webhook!", "é"])
def test_a_delivery_with_another_token_is_not(token: str) -> None:
    with pytest.raises(RejectedDeliveryError) as caught:
        taken(merge_request("open"), x_gitlab_token=token)

    assert caught.value.status == 401
    assert "secret token of the webhook" not in str(caught.value)


def test_a_signature_of_another_forge_is_no_token() -> None:
    headers = {name: value for name, value in HEADERS.items() if name != "x-gitlab-token"}

    with pytest.raises(RejectedDeliveryError, match="X-Gitlab-Token"):
        read_headers({**headers, "x-hub-signature-256": f"sha256={'a' * 64}"}, 10_000, "gitlab")
    with pytest.raises(RejectedDeliveryError, match="X-Hub-Signature-256"):
        read_headers(HEADERS, 10_000, "github")


def test_a_delivery_is_known_when_it_comes_twice_and_its_consequence_is_another_one() -> None:
    key = {"idempotency_key": "f5e5f430-f57b-4e6e-9fac-d9128cd7232f"}
    first, again = taken(merge_request("open"), **key), taken(merge_request("open"), **key)
    other = taken(merge_request("close"), **key)

    assert first.id == again.id != other.id
    assert len(first.id) <= 64
    with pytest.raises(RejectedDeliveryError, match="X-Gitlab-Event-UUID"):
        taken(merge_request("open"), x_gitlab_event_uuid="")


@pytest.mark.parametrize("action", ["open", "reopen", "close", "merge"])
def test_what_moves_a_merge_request_is_asked_of_the_forge(action: str) -> None:
    found = one("merge_request_hook", merge_request(action))

    assert isinstance(found, Validate)
    assert (found.kind, found.number, found.head_sha) == (JobKind.PULL_REQUEST, 7, sha(5))
    assert (found.from_fork, found.anew) == (False, action == "reopen")


@pytest.mark.parametrize(
    ("changes", "more", "asks"),
    [
        ({}, {"oldrev": sha(4)}, True),
        ({"draft": {"previous": True, "current": False}}, {}, True),
        ({"target_branch": {"previous": "old", "current": "main"}}, {}, True),
        ({"labels": {"previous": [], "current": []}}, {}, False),
        ({}, {}, False),
    ],
)
def test_an_update_asks_for_a_run_where_it_changes_what_is_judged(
    changes: dict[str, Any], more: dict[str, Any], asks: bool
) -> None:
    assert isinstance(one("merge_request_hook", merge_request("update", changes, **more)), Validate) is asks


@pytest.mark.parametrize("source", [16, None])
def test_a_fork_is_one_though_it_is_gone(source: int | None) -> None:
    found = one("merge_request_hook", merge_request("open", source_project_id=source))

    assert isinstance(found, Validate) and found.from_fork


@pytest.mark.parametrize("action", ["approved", "unapproved", "approval"])
def test_an_approval_at_gitlab_asks_for_nothing(action: str) -> None:
    assert isinstance(one("merge_request_hook", merge_request(action)), Nothing)


def test_a_push_to_the_default_branch_asks_for_a_baseline() -> None:
    found = one("push_hook", push("refs/heads/main", sha(1), sha(2)))

    assert isinstance(found, Validate)
    assert (found.kind, found.head_sha, found.base_sha) == (JobKind.BASELINE, sha(2), sha(1))
    for other in (push("refs/heads/x", sha(1), sha(2)), push("refs/heads/main", sha(1), "0" * 40)):
        assert isinstance(one("push_hook", other), Nothing)


def test_a_comment_commands_by_the_name_of_who_wrote_it() -> None:
    found = one("note_hook", note("/farm run", action="create"))

    assert isinstance(found, Ask)
    assert (found.number, found.login, found.comment_id) == (7, "ann", 1244)
    assert isinstance(found.command, Run)
    assert isinstance(one("note_hook", note("/farm run")), Ask)  # GitLab before 16.11


@pytest.mark.parametrize(
    "body",
    [
        note("/farm run", action="update"),
        note("/farm run", noteable_type="Issue"),
        note("/farm run", system=True),
        note("<!-- npu-kernel-farm report -->\n/farm run"),
        note("thanks"),
    ],
)
def test_no_other_comment_commands(body: str) -> None:
    assert isinstance(one("note_hook", body), Nothing)


@pytest.mark.parametrize("event", ["merge_request_hook", "push_hook", "note_hook"])
def test_a_payload_that_is_not_its_events_is_refused(event: str) -> None:
    with pytest.raises(PayloadError, match=event):
        intents(event, '{"object_attributes": {"iid": 0}}')
