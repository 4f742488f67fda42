"""The part of each webhook payload that is read here, checked.

githubkit's models describe whole payloads and refuse one for a field nobody reads here: 18 of the 29 published example
payloads of `pull_request` among them. A merge must not wait for such a field. So only what is used is checked; a test
holds every field below to githubkit's model of the same event, and all published examples to these models.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Sha = Annotated[str, StringConstraints(pattern=r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$")]
RefName = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Login = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Part(BaseModel):
    """A part of a payload. Fields that are not named are not read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class User(Part):
    """Somebody."""

    login: Login
    type: str = "User"  # "Bot" for an App


class RepositoryPayload(Part):
    """The repository an event is about."""

    full_name: str
    default_branch: str


class HeadRepository(Part):
    """The repository a branch lives in."""

    full_name: str


class Branch(Part):
    """One side of a pull request."""

    sha: Sha
    ref: RefName
    repo: HeadRepository | None = None  # None where a fork is gone


class PullRequest(Part):
    """A pull request."""

    number: int = Field(ge=1)
    state: str
    draft: bool = False
    user: User | None
    head: Branch
    base: Branch


class Changes(Part):
    """What an edit has changed; each holds what was there before."""

    base: dict[str, object] | None = None  # the branch it is to be merged into, at GitHub
    ref: dict[str, object] | None = None  # the same at Gitea and Forgejo

    @property
    def retargets(self) -> bool:
        """Whether the pull request is to be merged into another branch now."""
        return self.base is not None or self.ref is not None


class PullRequestEvent(Part):
    """`pull_request`."""

    action: str
    pull_request: PullRequest
    changes: Changes = Field(default_factory=Changes)


class MergeGroup(Part):
    """A candidate of the merge queue."""

    head_sha: Sha
    head_ref: RefName
    base_sha: Sha
    base_ref: RefName


class MergeGroupEvent(Part):
    """`merge_group`."""

    action: str
    reason: str | None = None  # of a destroyed one: "merged", "invalidated", "dequeued"
    merge_group: MergeGroup


class CheckRun(Part):
    """A check."""

    head_sha: Sha
    external_id: str | None = None


class RequestedAction(Part):
    """A button of a check that somebody pressed."""

    identifier: str


class CheckRunEvent(Part):
    """`check_run`."""

    action: str
    check_run: CheckRun
    requested_action: RequestedAction | None = None
    sender: User | None = None


class CheckSuite(Part):
    """All checks of one commit."""

    head_sha: Sha


class CheckSuiteEvent(Part):
    """`check_suite`."""

    action: str
    check_suite: CheckSuite


class PushEvent(Part):
    """`push`."""

    ref: RefName
    after: Sha
    before: Sha
    deleted: bool
    repository: RepositoryPayload


class CommentPayload(Part):
    """A comment."""

    id: int = Field(ge=1)
    body: str
    user: User | None


class IssuePullRequest(Part):
    """What marks an issue as a pull request."""


class IssuePayload(Part):
    """An issue or, where `pull_request` is there, a pull request."""

    number: int = Field(ge=1)
    pull_request: IssuePullRequest | None = None


class IssueCommentEvent(Part):
    """`issue_comment`."""

    action: str
    comment: CommentPayload
    issue: IssuePayload
