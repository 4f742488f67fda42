"""Turns one event into what it asks for. Pure: nothing here knows the queue, the forge's API or the database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pydantic import ValidationError

from ci.forge.markers import MARKER, RETRY_ACTION
from ci.forge.webhook_payloads import (
    CheckRunEvent,
    CheckSuiteEvent,
    IssueCommentEvent,
    MergeGroupEvent,
    PullRequest,
    PullRequestEvent,
    PushEvent,
)
from ci.queue.intents import Cancel, Rerun, Validate
from ci.store.states import JobKind
from ci.webhook.asked import Ask, Intent, Nothing, baseline
from ci.webhook.commands import parse
from ci.webhook.hooks import HOOKS
from farm.model.priority import Priority


class PayloadError(ValueError):
    """The payload is not what its event promises."""


def intents(event: str, body: str) -> list[Intent]:
    """What a delivery asks for; never empty. Raises `PayloadError` for a body that is not of its event."""
    handler = EVENTS.get(event)
    if handler is None:
        return [Nothing(f"event '{event}' asks for nothing here")]
    try:
        return handler(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise PayloadError(f"{event}: {where}: {first['msg']}, and {error.error_count() - 1} more problems") from None


def wanted(pull: PullRequest) -> Validate | Cancel:
    """What a pull request in this state needs."""
    subject = f"pull/{pull.number}"
    if pull.state != "open":
        return Cancel(subject, "the pull request was closed")
    if pull.draft:
        return Cancel(subject, "a draft is validated when it is ready for review, or on /farm run")
    return validation(pull)


def validation(pull: PullRequest) -> Validate:
    """What validating a pull request's newest commit means."""
    return Validate(
        kind=JobKind.PULL_REQUEST,
        subject=f"pull/{pull.number}",
        number=pull.number,
        head_sha=pull.head.sha,
        base_sha=pull.base.sha,
        base_ref=pull.base.ref,
        # A fork that is gone is still a fork, and nobody with write access stands behind it.
        from_fork=pull.head.repo is None or pull.base.repo is None or pull.head.repo != pull.base.repo,
        author=pull.user.login if pull.user else "",
        priority=Priority.PULL_REQUEST,
    )


# Gitea and Forgejo say "synchronized".
_MOVING = (*("opened", "synchronize", "synchronized", "reopened", "ready_for_review", "converted_to_draft", "closed"),)


def _pull_request(body: str) -> list[Intent]:
    event = PullRequestEvent.model_validate_json(body)
    if event.action in _MOVING:
        asked = wanted(event.pull_request)
        again = event.action == "reopened" and isinstance(asked, Validate)
        return [replace(asked, anew=True) if again and isinstance(asked, Validate) else asked]
    if event.action == "edited" and event.changes.retargets:  # into another branch, where it was never judged
        return [wanted(event.pull_request)]
    return [Nothing(f"pull request {event.action}")]


def _merge_group(body: str) -> list[Intent]:
    event = MergeGroupEvent.model_validate_json(body)
    group = event.merge_group
    if event.action == "destroyed":
        return [Cancel(group.head_ref, f"the merge queue let go of it: {event.reason or 'destroyed'}")]
    if event.action != "checks_requested":
        return [Nothing(f"merge group {event.action}")]
    asked = Validate(
        kind=JobKind.MERGE_GROUP,
        subject=group.head_ref,
        number=None,
        head_sha=group.head_sha,
        base_sha=group.base_sha,
        base_ref=group.base_ref.removeprefix("refs/heads/"),
        from_fork=False,  # the queue takes only what somebody with write access put there
        author="",
        priority=Priority.MERGE_QUEUE,
    )
    return [asked]


def _check_run(body: str) -> list[Intent]:
    event = CheckRunEvent.model_validate_json(body)
    pressed = event.requested_action.identifier if event.requested_action else ""
    if event.action == "rerequested" or (event.action == "requested_action" and pressed == RETRY_ACTION):
        by = event.sender.login if event.sender else ""
        return [Rerun(event.check_run.head_sha, event.check_run.external_id or "", by)]
    return [Nothing(f"check run {event.action}")]


def _check_suite(body: str) -> list[Intent]:
    event = CheckSuiteEvent.model_validate_json(body)
    if event.action == "rerequested":
        return [Rerun(event.check_suite.head_sha, "")]
    return [Nothing(f"check suite {event.action}")]


def _push(body: str) -> list[Intent]:
    event = PushEvent.model_validate_json(body)
    branch = event.repository.default_branch
    if event.deleted or event.ref != f"refs/heads/{branch}":
        return [Nothing("a push to another branch than the default one")]
    return [baseline(event.ref, branch, event.before, event.after)]


def _issue_comment(body: str) -> list[Intent]:
    event = IssueCommentEvent.model_validate_json(body)
    comment = event.comment
    if event.action != "created":  # an edited comment must not become a command after it was read by others
        return [Nothing(f"comment {event.action}")]
    if event.issue.pull_request is None:
        return [Nothing("a comment on an issue")]
    if comment.user is None or comment.user.type == "Bot" or comment.body.startswith(MARKER):
        return [Nothing("a comment of a program")]
    asked: list[Intent] = [
        Ask(event.issue.number, comment.id, comment.user.login, command) for command in parse(comment.body)
    ]
    return asked or [Nothing("a comment without a command")]


def _ping(_body: str) -> list[Intent]:
    return [Nothing("the forge tries the webhook")]


def _installation(_body: str) -> list[Intent]:
    return [Nothing("the App's installation changed")]


EVENTS: dict[str, Callable[[str], list[Intent]]] = {
    "pull_request": _pull_request,
    "merge_group": _merge_group,
    "check_run": _check_run,
    "check_suite": _check_suite,
    "push": _push,
    "issue_comment": _issue_comment,
    "ping": _ping,
    "installation": _installation,
    **HOOKS,
}
