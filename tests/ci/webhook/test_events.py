from __future__ import annotations

import importlib
import json
import types
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from ci.forge import webhook_payloads
from ci.queue.intents import Cancel, Rerun, Validate
from ci.queue.options import JobOptions
from ci.store.states import JobKind
from ci.webhook.asked import Ask, Nothing
from ci.webhook.commands import Approve, Help, Run
from ci.webhook.events import EVENTS, PayloadError, intents
from farm.model.priority import Priority
from tests.ci.published import DELIVERIES, Published, published
from tests.fakes.pulls import pull, sha


def pull_event(action: str, **changes: Any) -> str:
    return json.dumps({"action": action, "pull_request": pull(7, 5, **changes)})


def comment_event(body: str, **changes: Any) -> str:
    comment = {"id": 1, "body": body, "user": {"login": "ann", "type": "User"}, **changes}
    return json.dumps({"action": "created", "comment": comment, "issue": {"number": 7, "pull_request": {}}})


@pytest.mark.parametrize("delivery", DELIVERIES, ids=lambda each: f"{each.event}-{each.action}")
def test_every_published_example_is_understood(delivery: Published) -> None:
    found = intents(delivery.event, delivery.body)

    assert found
    if delivery.event in EVENTS and delivery.action in ("opened", "synchronize", "reopened", "ready_for_review"):
        [asked] = found
        assert isinstance(asked, Validate)
        assert asked.head_sha == json.loads(delivery.body)["pull_request"]["head"]["sha"]


def test_a_pull_request_is_validated_at_its_newest_commit() -> None:
    for action in ("opened", "synchronize", "synchronized", "reopened", "ready_for_review", "converted_to_draft"):
        [asked] = intents("pull_request", pull_event(action))
        assert asked == Validate(
            kind=JobKind.PULL_REQUEST,
            subject="pull/7",
            number=7,
            head_sha=sha(5),
            base_sha=sha(1),
            base_ref="main",
            from_fork=False,
            author="somebody",
            priority=Priority.PULL_REQUEST,
            anew=action == "reopened",
        )


def test_a_fork_is_one_even_when_it_is_gone() -> None:
    gone = pull(7, 5)
    gone["head"]["repo"] = None

    [alive] = intents("pull_request", pull_event("opened", fork=True))
    [deleted] = intents("pull_request", json.dumps({"action": "opened", "pull_request": gone}))

    assert isinstance(alive, Validate) and alive.from_fork
    assert isinstance(deleted, Validate) and deleted.from_fork


def test_drafts_and_closed_pull_requests_hold_no_device() -> None:
    [draft] = intents("pull_request", pull_event("synchronize", draft=True))
    [closed] = intents("pull_request", pull_event("closed", state="closed"))

    assert isinstance(draft, Cancel) and draft.subject == "pull/7"
    assert isinstance(closed, Cancel) and closed.subject == "pull/7"


def test_a_merge_group_goes_first_and_is_dropped_when_destroyed() -> None:
    delivery = published("merge_group", "checks_requested")
    payload = json.loads(delivery.body)
    [asked] = intents("merge_group", delivery.body)
    [dropped] = intents("merge_group", json.dumps({**payload, "action": "destroyed", "reason": "dequeued"}))

    assert isinstance(asked, Validate) and asked.priority is Priority.MERGE_QUEUE
    assert asked.kind is JobKind.MERGE_GROUP
    assert isinstance(dropped, Cancel) and dropped.subject == asked.subject
    assert "dequeued" in dropped.reason


def test_a_push_to_the_default_branch_alone_is_a_baseline() -> None:
    def push(**changes: Any) -> str:
        repository = {"full_name": "octo-org/kernels", "default_branch": "main"}
        event = {
            "ref": "refs/heads/main",
            "after": sha(9),
            "before": sha(8),
            "deleted": False,
            "repository": repository,
        }
        return json.dumps({**event, **changes})

    [baseline] = intents("push", push())
    [first] = intents("push", push(before="0" * 40))

    assert isinstance(baseline, Validate) and (baseline.kind, baseline.base_sha) == (JobKind.BASELINE, sha(8))
    assert isinstance(first, Validate) and first.base_sha == ""
    assert isinstance(intents("push", push(ref="refs/heads/other"))[0], Nothing)
    assert isinstance(intents("push", push(deleted=True, after="0" * 40))[0], Nothing)


def test_a_rerequested_check_names_its_job() -> None:
    rerequested = published("check_run", "rerequested")
    check = json.loads(rerequested.body)["check_run"]

    by = json.loads(rerequested.body)["sender"]["login"]
    assert intents("check_run", rerequested.body) == [Rerun(check["head_sha"], check["external_id"], by)]
    suite = published("check_suite", "rerequested")
    assert intents("check_suite", suite.body) == [Rerun(json.loads(suite.body)["check_suite"]["head_sha"], "")]


def test_only_the_retry_button_is_a_retry() -> None:
    payload = json.loads(published("check_run", "requested_action").body)

    def pressed(identifier: str) -> str:
        return json.dumps({**payload, "requested_action": {"identifier": identifier}})

    assert isinstance(intents("check_run", pressed("retry"))[0], Rerun)
    assert isinstance(intents("check_run", pressed("other"))[0], Nothing)


def test_comments_are_read_line_by_line_and_only_once() -> None:
    text = (
        f"please\n/farm run --devices 5 --case flash-s2\n> /farm cancel\n```\n/farm cancel\n```\n/farm approve {sha(5)}"
    )
    found = intents("issue_comment", comment_event(text))

    assert [each.command for each in found if isinstance(each, Ask)] == [
        Run(JobOptions(devices=5, cases=["flash-s2"])),
        Approve(sha(5)),
    ]
    [narrowed] = intents("issue_comment", comment_event("/farm run --target models --target flash"))
    assert isinstance(narrowed, Ask) and narrowed.command == Run(JobOptions(targets=["models", "flash"]))
    edited = json.dumps({**json.loads(comment_event("/farm run")), "action": "edited"})
    assert isinstance(intents("issue_comment", edited)[0], Nothing)


def test_programs_do_not_command_and_never_answer_each_other() -> None:
    bot = comment_event("/farm run", user={"login": "other[bot]", "type": "Bot"})
    ours = comment_event("<!-- npu-kernel-farm report -->\n/farm run")
    issue = json.dumps({**json.loads(comment_event("/farm run")), "issue": {"number": 7}})

    for body in (bot, ours, issue):
        assert isinstance(intents("issue_comment", body)[0], Nothing)


@pytest.mark.parametrize("wrong", ["/farm deploy", "/farm run --device 3", '/farm run "', "/farm run --devices 0"])
def test_a_command_nobody_knows_is_answered_with_help(wrong: str) -> None:
    [asked] = intents("issue_comment", comment_event(wrong))

    assert isinstance(asked, Ask) and isinstance(asked.command, Help)
    assert asked.command.problem


@pytest.mark.parametrize("event", sorted(EVENTS.keys() - {"ping", "installation"}))
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["action", "pull_request", "head", "sha", "comment", "body", "issue", "check_run", "ref"]
                ),
                inner,
            )
        ),
        max_leaves=20,
    )
)
def test_any_json_is_understood_or_refused_in_one_line(event: str, payload: Any) -> None:
    try:
        assert intents(event, json.dumps(payload))
    except PayloadError as error:
        assert "\n" not in str(error)


@given(st.text(st.sampled_from("/farm \n\t\"'\\`~-=devicscapnrot0123456789abf​é$(;|&"), max_size=300))
def test_no_comment_breaks_the_reader(text: str) -> None:
    for event in intents("issue_comment", comment_event(text)):
        if isinstance(event, Ask) and isinstance(event.command, Run):
            options = event.command.options
            assert options.devices is None or 1 <= options.devices <= 1024
            assert all("/" not in case and "\n" not in case for case in options.cases)


@given(st.text())
def test_whatever_follows_the_command_word_is_a_command_or_help(text: str) -> None:
    line = " ".join(text.split())
    [asked] = intents("issue_comment", comment_event(f"/farm {line}"))

    assert isinstance(asked, Ask)


# Our models against the library's


MODELS = {
    webhook_payloads.PullRequestEvent: "WebhookPullRequestOpened",
    webhook_payloads.MergeGroupEvent: "WebhookMergeGroupChecksRequested",
    webhook_payloads.CheckRunEvent: "WebhookCheckRunRerequested",
    webhook_payloads.CheckSuiteEvent: "WebhookCheckSuiteRerequested",
    webhook_payloads.PushEvent: "WebhookPush",
    webhook_payloads.IssueCommentEvent: "WebhookIssueCommentCreated",
}


@pytest.mark.parametrize("ours", MODELS, ids=lambda model: model.__name__)
def test_every_field_we_read_is_one_of_githubs(ours: type[BaseModel]) -> None:
    models = importlib.import_module("githubkit.versions.latest.models")
    known = {
        "CheckRunEvent.requested_action",
        "MergeGroupEvent.reason",
        "PullRequestEvent.changes",
    }  # of that event's other actions
    assert _unknown(ours, getattr(models, MODELS[ours])) <= known


def _unknown(ours: type[BaseModel], theirs: type[BaseModel]) -> set[str]:
    found = set()
    for name, field in ours.model_fields.items():
        named = {(each.alias or key): each for key, each in theirs.model_fields.items()}
        if name not in named:
            found.add(f"{ours.__name__}.{name}")
            continue
        inner = [each for each in _models(field.annotation) if each is not webhook_payloads.IssuePullRequest]
        for each in inner:
            candidates = _models(named[name].annotation)
            assert candidates, f"{ours.__name__}.{name} is no object at GitHub"
            found |= set.intersection(*(_unknown(each, candidate) for candidate in candidates))
    return found


def _models(annotation: Any) -> list[type[BaseModel]]:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType, typing.Annotated):
        return [found for part in typing.get_args(annotation) for found in _models(part)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []
