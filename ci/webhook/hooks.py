"""Turns the events of GitLab, Gitee and GitCode, which are called "… Hook", into what they ask for. Pure.

An event of a pull request is only a hint: the pull request is read from the forge before anything is done about it. So
an update is taken for a hint unless its reason is known to change nothing that is judged.
"""

from __future__ import annotations

from collections.abc import Callable

from ci.forge.api_v5_payloads import (
    LABELLED,
    GitCodeMergeRequestEvent,
    GiteeNoteEvent,
    GiteePullRequestEvent,
    GiteePushEvent,
)
from ci.forge.gitlab_payloads import GitLabMergeRequestEvent, GitLabNoteEvent, GitLabPushEvent
from ci.forge.markers import MARKER
from ci.webhook.asked import Ask, Intent, Nothing, baseline, hint
from ci.webhook.commands import parse

# Each of these of a merge request may change what has to be judged; "update" does so for some reasons only.
_MOVING = ("open", "reopen", "close", "merge")
_ELSEWHERE = "a push to another branch than the default one"


def _merge_request(body: str) -> list[Intent]:
    event = GitLabMergeRequestEvent.model_validate_json(body)
    found = event.object_attributes
    if found.action not in _MOVING and not (found.action == "update" and event.is_update):
        return [Nothing(f"merge request {found.action or 'without an action'}")]
    from_fork = found.source_project_id != found.target_project_id
    return [hint(found.iid, found.last_commit.id, found.target_branch, from_fork, found.action == "reopen")]


def _gitcode_merge_request(body: str) -> list[Intent]:
    found = GitCodeMergeRequestEvent.model_validate_json(body).object_attributes
    if not _moves(found.action, found.act_desc):
        return [Nothing(f"merge request {found.act_desc or found.action or 'without an action'}")]
    from_fork = found.source_project_id != found.target_project_id
    head = found.last_commit.id or found.last_commit.sha or ""
    return [hint(found.iid, head, found.target_branch, from_fork, found.action == "reopen")]


def _gitee_pull_request(body: str) -> list[Intent]:
    event = GiteePullRequestEvent.model_validate_json(body)
    pull = event.pull_request
    if not _moves(event.action, event.action_desc):
        return [Nothing(f"pull request {event.action_desc or event.action or 'without an action'}")]
    return [hint(pull.number, pull.head.sha, pull.base.ref, pull.is_of_fork, event.action == "reopen")]


def _moves(action: str, why: str | None) -> bool:
    return action in _MOVING or (action == "update" and why != LABELLED)


def _push(body: str) -> list[Intent]:
    event = GitLabPushEvent.model_validate_json(body)
    branch = event.project.default_branch
    if branch is None or event.ref != f"refs/heads/{branch}" or set(event.after) == {"0"}:
        return [Nothing(_ELSEWHERE)]
    return [baseline(event.ref, branch, event.before, event.after)]


def _gitee_push(body: str) -> list[Intent]:
    event = GiteePushEvent.model_validate_json(body)
    branch = event.repository.default_branch
    if branch is None or event.ref != f"refs/heads/{branch}" or event.deleted or set(event.after) == {"0"}:
        return [Nothing(_ELSEWHERE)]
    return [baseline(event.ref, branch, event.before, event.after)]


def _note(body: str) -> list[Intent]:
    event = GitLabNoteEvent.model_validate_json(body)
    note = event.object_attributes
    if note.action != "create":  # as at the other forges
        return [Nothing(f"comment {note.action}")]
    if note.noteable_type != "MergeRequest" or event.merge_request is None:
        return [Nothing("a comment on something else than a merge request")]
    if note.system:
        return [Nothing("a comment of a program")]
    return _commands(event.merge_request.iid, note.id, event.user.username, note.note)


def _gitee_note(body: str) -> list[Intent]:
    event = GiteeNoteEvent.model_validate_json(body)
    comment = event.comment
    if event.action != "comment":
        return [Nothing(f"comment {event.action}")]
    if event.noteable_type != "PullRequest" or event.pull_request is None:
        return [Nothing("a comment on something else than a pull request")]
    if comment.user is None:
        return [Nothing("a comment of nobody")]
    return _commands(event.pull_request.number, comment.id, comment.user.login, comment.body)


def _commands(number: int, comment_id: int, login: str, text: str) -> list[Intent]:
    if text.startswith(MARKER):
        return [Nothing("a comment of a program")]
    asked: list[Intent] = [Ask(number, comment_id, login, command) for command in parse(text)]
    return asked or [Nothing("a comment without a command")]


HOOKS: dict[str, Callable[[str], list[Intent]]] = {
    "merge_request_hook": _merge_request,
    "push_hook": _push,
    "note_hook": _note,
    "gitcode_merge_request_hook": _gitcode_merge_request,
    "gitcode_push_hook": _push,
    "gitcode_note_hook": _note,
    "gitee_merge_request_hook": _gitee_pull_request,
    "gitee_push_hook": _gitee_push,
    "gitee_note_hook": _gitee_note,
}
