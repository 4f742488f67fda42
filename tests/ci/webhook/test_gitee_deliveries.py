"""Gitee's and GitCode's webhooks: who sent one, and what it asks for."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from ci.errors import RejectedDeliveryError
from ci.queue.intents import Validate
from ci.store.states import JobKind
from ci.webhook.asked import Ask, Intent, Nothing
from ci.webhook.commands import Run
from ci.webhook.events import PayloadError, intents
from ci.webhook.intake import Delivery, read_delivery, read_headers
from tests.fakes.pulls import pull, sha

SECRETS = [SecretStr("an older secret key"), SecretStr("the signature key of the webhook")]
SENT_MS = "1576754827988"
NOW_S = 1576754830.0
HOUR_S = 3600.0
REPOSITORY = {"full_name": "Octo Org/Kernels", "path_with_namespace": "octo-org/kernels", "default_branch": "main"}
PROJECT = {"id": 15, "path_with_namespace": "octo-org/kernels", "default_branch": "main"}


def gitee_signature(secret: SecretStr, sent_ms: str = SENT_MS) -> str:
    """As Gitee's manual describes it."""
    key = secret.get_secret_value()
    return base64.b64encode(hmac.new(key.encode(), f"{sent_ms}\n{key}".encode(), hashlib.sha256).digest()).decode()


def gitee(action: str, why: str | None = None, **changes: Any) -> str:
    given = pull(7, 5, **changes)
    for side in ("head", "base"):
        given[side]["repo"] = {**REPOSITORY, "html_url": f"https://gitee.com/{given[side]['repo']['full_name']}"}
    return json.dumps({"action": action, "action_desc": why, "pull_request": given, "repository": REPOSITORY})


def gitee_note(body: str, kind: str = "PullRequest", action: str = "comment") -> str:
    comment = {"id": 1244, "body": body, "user": {"login": "ann"}}
    told = {"action": action, "comment": comment, "noteable_type": kind, "repository": REPOSITORY}
    return json.dumps({**told, "pull_request": {"number": 7}})


def gitee_push(ref: str, after: str, deleted: bool = False) -> str:
    return json.dumps({"ref": ref, "before": sha(1), "after": after, "deleted": deleted, "repository": REPOSITORY})


def gitcode(action: str, why: str = "", **more: Any) -> str:
    attributes = {"iid": 7, "action": action, "act_desc": why, "oldrev": "", "target_branch": "main"}
    attributes |= {"source_project_id": 15, "target_project_id": 15, "last_commit": {"id": sha(5)}, **more}
    return json.dumps({"object_kind": "merge_request", "project": PROJECT, "object_attributes": attributes})


def from_gitee(body: str, now_s: float = NOW_S, **changes: str) -> Delivery:
    headers = {"content-type": "application/json", "x-gitee-event": "Merge Request Hook"}
    headers |= {"x-gitee-timestamp": SENT_MS, "x-gitee-token": gitee_signature(SECRETS[1])}
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    return read_delivery("gitee", read_headers(headers, 10_000, "gitee"), body.encode(), SECRETS, now_s)


def from_gitcode(body: str, **proof: str) -> Delivery:
    headers = {"content-type": "application/json", "x-gitcode-event": "Merge Request Hook"}
    headers |= {"x-gitcode-delivery": "4f1c7f9a"} | {name.replace("_", "-"): value for name, value in proof.items()}
    return read_delivery("gitcode", read_headers(headers, 10_000, "gitcode"), body.encode(), SECRETS)


def signature(body: str, secret: SecretStr) -> str:
    return f"sha256={hmac.new(secret.get_secret_value().encode(), body.encode(), hashlib.sha256).hexdigest()}"


def one(event: str, body: str) -> Intent:
    [found] = intents(event, body)
    return found


def test_a_delivery_of_gitee_is_taken_by_the_signature_of_its_time() -> None:
    delivery = from_gitee(gitee("open"))

    assert (delivery.forge, delivery.event, delivery.action) == ("gitee", "gitee_merge_request_hook", "open")
    assert delivery.repository == "octo-org/kernels"
    assert from_gitee(gitee("open"), x_gitee_token=gitee_signature(SECRETS[0])) == delivery
    assert from_gitee(gitee("open"), x_gitee_token=quote(gitee_signature(SECRETS[1]), safe="")) == delivery


@pytest.mark.parametrize(
    "changes",
    [
        {"x_gitee_token": ""},
        {"x_gitee_token": SECRETS[1].get_secret_value()},  # a password, which Gitee sends as it is
        {"x_gitee_token": gitee_signature(SecretStr("another key"))},
        {"x_gitee_token": "é"},
        {"x_gitee_timestamp": ""},
        {"x_gitee_timestamp": "1576754827989"},
        {"x_gitee_timestamp": "²576754827988"},
    ],
)
def test_a_delivery_with_another_signature_is_not(changes: dict[str, str]) -> None:
    with pytest.raises(RejectedDeliveryError) as caught:
        from_gitee(gitee("open"), NOW_S, **changes)

    assert caught.value.status == 401
    assert "signature key of the webhook" not in str(caught.value)


@pytest.mark.parametrize("now_s", [NOW_S + HOUR_S, NOW_S - HOUR_S - 10])
def test_a_signature_of_another_hour_is_refused(now_s: float) -> None:
    with pytest.raises(RejectedDeliveryError, match="clock"):
        from_gitee(gitee("open"), now_s)


def test_a_delivery_is_known_when_it_comes_twice() -> None:
    first, again, other = from_gitee(gitee("open")), from_gitee(gitee("open")), from_gitee(gitee("close"))

    assert first.id == again.id != other.id


def test_gitcode_shows_the_signature_of_the_body_or_the_password() -> None:
    body = gitcode("open")
    signed = from_gitcode(body, x_gitcode_signature_256=signature(body, SECRETS[0]))

    assert (signed.event, signed.action) == ("gitcode_merge_request_hook", "open")
    assert signed.repository == "octo-org/kernels"
    assert from_gitcode(body, x_gitcode_token=SECRETS[1].get_secret_value()) == signed


def test_a_wrong_signature_is_not_made_good_by_a_password() -> None:
    body, password = gitcode("open"), SECRETS[1].get_secret_value()
    wrong: list[dict[str, str]] = [
        {},
        {"x_gitcode_token": "another password"},
        {"x_gitcode_token": password, "x_gitcode_signature_256": signature("another body", SECRETS[1])},
        {"x_gitcode_token": password, "x_gitcode_signature_256": ""},
    ]
    for proof in wrong:
        with pytest.raises(RejectedDeliveryError) as caught:
            from_gitcode(body, **proof)
        assert caught.value.status == 401


@pytest.mark.parametrize(
    ("event", "body"),
    [("gitee_merge_request_hook", gitee), ("gitcode_merge_request_hook", gitcode)],
)
def test_what_may_change_what_is_judged_is_asked_of_the_forge(event: str, body: Any) -> None:
    for action in ("open", "reopen", "close", "merge", "update"):
        found = one(event, body(action))
        assert isinstance(found, Validate)
        assert (found.kind, found.number, found.head_sha) == (JobKind.PULL_REQUEST, 7, sha(5))
        assert (found.base_sha, found.from_fork, found.anew) == ("", False, action == "reopen")
    assert isinstance(one(event, body("update", "source_branch_changed")), Validate)
    assert isinstance(one(event, body("update", "a reason of next year")), Validate)
    for action, why in (("update", "update_label"), ("approved", None), ("assign", None), ("", None)):
        assert isinstance(one(event, body(action, why)), Nothing)


def test_a_fork_is_one_though_it_is_gone() -> None:
    found = [
        one("gitee_merge_request_hook", gitee("open", fork=True)),
        one("gitcode_merge_request_hook", gitcode("open", source_project_id=None)),
        one("gitcode_merge_request_hook", gitcode("open", source_project_id=16)),
    ]

    assert [isinstance(each, Validate) and each.from_fork for each in found] == [True] * 3


def test_a_push_to_the_default_branch_asks_for_a_baseline() -> None:
    found = one("gitee_push_hook", gitee_push("refs/heads/main", sha(2)))

    assert isinstance(found, Validate)
    assert (found.kind, found.head_sha, found.base_sha) == (JobKind.BASELINE, sha(2), sha(1))
    others = [("refs/heads/x", sha(2), False), ("refs/heads/main", "0" * 40, False), ("refs/heads/main", sha(2), True)]
    for other in others:
        assert isinstance(one("gitee_push_hook", gitee_push(*other)), Nothing)
    project = {"ref": "refs/heads/main", "before": sha(1), "after": sha(2), "project": PROJECT}
    assert isinstance(one("gitcode_push_hook", json.dumps(project)), Validate)


def test_a_comment_commands_by_the_name_of_who_wrote_it() -> None:
    note = {"id": 1244, "note": "/farm run", "noteable_type": "MergeRequest"}
    told = {"user": {"username": "ann"}, "object_attributes": note, "merge_request": {"iid": 7}}
    for found in (one("gitee_note_hook", gitee_note("/farm run")), one("gitcode_note_hook", json.dumps(told))):
        assert isinstance(found, Ask)
        assert (found.number, found.login, found.comment_id) == (7, "ann", 1244)
        assert isinstance(found.command, Run)


@pytest.mark.parametrize(
    "body",
    [
        gitee_note("/farm run", kind="Issue"),
        gitee_note("/farm run", action="edited"),
        gitee_note("<!-- npu-kernel-farm report -->\n/farm run"),
        gitee_note("thanks"),
        gitee_note("/farm run").replace('"user": {"login": "ann"}', '"user": null'),
    ],
)
def test_no_other_comment_commands(body: str) -> None:
    assert isinstance(one("gitee_note_hook", body), Nothing)


@pytest.mark.parametrize("event", ["gitee_merge_request_hook", "gitee_push_hook", "gitcode_merge_request_hook"])
def test_a_payload_that_is_not_its_events_is_refused(event: str) -> None:
    with pytest.raises(PayloadError, match=event):
        intents(event, '{"action": 7}')
