"""What an author can do beside a commit, end to end: rows of docs/maintainer-pull-requests.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.ci.server.author_rows import Row, require
from tests.ci.server.proposals import GITHUB, Author, Farm, farm, farm_home
from tests.fakes.git_remote import PROGRAM, SAYS
from tests.fakes.pulls import pull

pytestmark = pytest.mark.service

__all__ = ["farm", "farm_home"]

FASTER = {PROGRAM: "faster"}


def from_fork(*then: Callable[[Author], None], **payload: Any) -> Callable[[Author], None]:
    """Propose a fork's commit; then do the rest."""

    def act(author: Author) -> None:
        author.changes(FASTER, fork=True, **payload)
        for step in then:
            step(author)

    return act


def says(text: str, login: str = "will", **payload: Any) -> Callable[[Author], None]:
    """Comment on a proposed commit; `{head}` is its hash."""
    return lambda author: author.says(text.format(head=author.head), login, **payload)


def deleted_fork(author: Author) -> None:
    """Delete the repository that the commit came from."""
    author.changes(FASTER, head={**pull(7, 0, fork=True)["head"], "repo": None})


def newer_commit(author: Author) -> None:
    """Push again once somebody has approved."""
    author.is_approved()
    author.changes({PROGRAM: "another"}, "synchronize", fork=True)


def approval_of_the_older_commit(author: Author) -> None:
    """Push while somebody approves what they have read."""
    read = author.head
    author.changes({PROGRAM: "another"}, "synchronize", fork=True)
    author.says(f"/farm approve {read}")


def retargeted(author: Author) -> None:
    """Have the commit approved for one branch, and retarget it at another one."""
    author.is_approved()
    base = {**pull(7, 0)["base"], "ref": "release"}
    changes = {"base": {"ref": {"from": "main"}, "sha": {"from": author.farm.remote.main}}, "ref": {"from": "main"}}
    author.proposes(author.head, "edited", fork=True, base=base, changes=changes)


def pushed_over(author: Author) -> None:
    """Pass, and replace the commit by one that fails."""
    author.changes(FASTER)
    passed = author.head
    author.changes({SAYS: "failed"}, "synchronize")
    assert author.farm.github.mergeable(passed) and not author.mergeable()


def shared_head(author: Author) -> None:
    """Pass with a commit that is also another pull request's, which nobody has approved."""
    author.changes(FASTER)
    Author(author.farm).proposes(author.head, fork=True)


def passed_baseline(author: Author) -> None:
    """Draft a commit that has passed as the tip of the default branch."""
    author.changes(FASTER, draft=True)
    push = {"ref": "refs/heads/main", "after": author.head, "before": author.farm.remote.main, "deleted": False}
    author.farm.announces("push", push)
    assert author.check("npu-kernel-farm (baseline)") == "success"


def ready(author: Author) -> None:
    """Draft, and be ready for review."""
    author.changes(FASTER, draft=True)
    author.proposes(author.head, "ready_for_review")


def draft_again(author: Author) -> None:
    """Go back to a draft while the commit waits for an approval."""
    author.proposes(author.head, "converted_to_draft", fork=True, draft=True)


def closed(author: Author) -> None:
    """Close the pull request while its commit waits."""
    author.proposes(author.head, "closed", fork=True, state="closed")


def reopened(author: Author) -> None:
    """Close a pull request that did not pass, and open it again."""
    author.changes({SAYS: "errored"})
    author.proposes(author.head, "closed", state="closed")
    author.proposes(author.head, "reopened")


def edited(author: Author) -> None:
    """Edit title and text of a pull request that failed."""
    author.changes({SAYS: "failed"})
    author.proposes(author.head, "edited", title="please merge", changes={"title": {"from": "x"}})
    assert len(author.jobs("id")) == 1


def narrowed(command: str) -> Callable[[Author], None]:
    """Draft a commit, and have less of it validated."""

    def act(author: Author) -> None:
        author.changes(FASTER, draft=True)
        author.says(command)
        assert author.check("npu-kernel-farm (narrowed)") == "success"
        assert author.status("npu-kernel-farm (narrowed)") == "success"

    return act


def unknown_case(author: Author) -> None:
    """Ask for a case that the kernel does not have."""
    author.changes(FASTER, draft=True)
    author.says("/farm run --case flash-s9")
    assert author.check("npu-kernel-farm (narrowed)") == "failure"


def markup(author: Author) -> None:
    """Have the service repeat markup."""
    author.changes({SAYS: "failed"})
    author.says("/farm <img/src=x>@everyone![x](https://evil.example)")
    said = author.replies()[-1]
    assert "@everyone" not in said or said.index("`") < said.index("@everyone"), said


def endless_comment(author: Author) -> None:
    """Comment without end, and with more commands than anybody gives."""
    author.changes({SAYS: "failed"})
    author.says("/farm help\n" * 1000 + "x" * 100_000, "will")
    assert 1 <= len([each for each in author.replies() if "/farm run" in each]) <= 5


def endless_title(author: Author) -> None:
    """Propose with a title that is longer than the whole page."""
    author.changes(FASTER, title="x" * 500_000)


def five_retries(author: Author) -> None:
    """Press *Retry* five times on an errored check."""
    author.changes({SAYS: "errored"})
    [job] = author.jobs("id")
    run = {"head_sha": author.head, "external_id": job[0]}
    pressed = {"action": "requested_action", "requested_action": {"identifier": "retry"}, "check_run": run}
    for _ in range(5):
        author.farm.announces("check_run", {**pressed, "sender": {"login": "somebody"}})
    assert len(author.jobs("id")) == 2


def unsigned(author: Author) -> None:
    """Send a webhook of one's own, which says that the commit is somebody's of this repository."""
    author.changes(FASTER, fork=True)
    inside = author.farm.github.pulls[author.number] | {"head": {**pull(author.number, 0)["head"], "sha": author.head}}
    payload = {"action": "synchronize", "pull_request": inside, "repository": {"full_name": GITHUB}}
    assert author.farm.delivers("github", "pull_request", payload, secret="a guess").status_code == 401


def lying(author: Author) -> None:
    """Have a delivery say what is not so; the forge is asked."""
    author.changes(FASTER, fork=True)
    inside = author.farm.github.pulls[author.number] | {"head": {**pull(author.number, 0)["head"], "sha": author.head}}
    author.farm.announces("pull_request", {"action": "synchronize", "pull_request": inside})


def replayed(author: Author) -> None:
    """Deliver the same twice."""
    author.changes({SAYS: "failed"})
    payload = {"action": "opened", "pull_request": author.farm.github.pulls[author.number]}
    payload["repository"] = {"full_name": GITHUB}
    codes = [author.farm.delivers("github", "pull_request", payload, delivery="twice").status_code for _ in range(2)]
    assert codes == [202, 200]
    author.farm.announces("ping", {})
    assert len(author.jobs("id")) == 1


APPROVE = "/farm approve {head}"
ROWS = [
    Row("fork", "queued", from_fork(), "comes from a fork"),
    Row("fork-approved", "success", from_fork(Author.is_approved), approved_by="will"),
    Row("deleted-fork", "queued", deleted_fork, "comes from a fork"),
    Row("newer-commit", "queued", from_fork(newer_commit)),
    Row("approval-of-older-commit", "queued", from_fork(approval_of_the_older_commit)),
    Row("approval-by-its-author", "queued", from_fork(says(APPROVE, "somebody"))),
    Row("approval-by-a-program", "queued", from_fork(says(APPROVE, "will", kind="Bot"))),
    Row("approval-in-a-quotation", "queued", from_fork(says("> " + APPROVE))),
    Row("approval-in-code", "queued", from_fork(says("```\n" + APPROVE + "\n```"))),
    Row("approval-by-an-edit", "queued", from_fork(says(APPROVE, action="edited"))),
    Row("approval-of-a-prefix", "queued", from_fork(says("/farm approve {head:.12}"))),
    Row("retargeted", "queued", from_fork(retargeted)),
    Row("pushed-over", "failure", pushed_over),
    Row("shared-head", "queued", shared_head),
    Row("passed-baseline", "none", passed_baseline),
    Row("draft", "none", lambda author: author.changes(FASTER, draft=True)),
    Row("draft-ready", "success", ready),
    Row("draft-again", "cancelled", from_fork(draft_again)),
    Row("closed", "cancelled", from_fork(closed)),
    Row("reopened", "action_required", reopened),
    Row("edited-title", "failure", edited),
    Row("narrowed-case", "none", narrowed("/farm run --case flash-s2")),
    Row("narrowed-devices", "none", narrowed("/farm run --devices 1")),
    Row("unknown-case", "none", unknown_case, "no case flash-s9; it has: "),
    Row("markup", "failure", markup),
    Row("endless-comment", "failure", endless_comment),
    Row("endless-title", "success", endless_title),
    Row("five-retries", "action_required", five_retries),
    Row("unsigned-webhook", "queued", unsigned),
    Row("lying-webhook", "queued", lying),
    Row("replayed-webhook", "failure", replayed),
]


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
def test_what_an_author_says_is_no_proof_and_no_approval(row: Row, farm: Farm) -> None:
    require(row, farm)
