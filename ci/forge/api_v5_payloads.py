"""The part of the answers and webhook payloads of Gitee and GitCode that is read here, checked."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ci.forge.webhook_payloads import Branch, HeadRepository, Part, PullRequest, RefName, Sha, User

_OPEN = ("open", "opened")
LABELLED = "update_label"  # why a pull request was updated; the farm's own labels are such updates


class V5Label(Part):
    """A label of a repository or a pull request."""

    name: str


class V5Comment(Part):
    """A comment. GitCode's answer to a new one has a hash as `id`, and as `note_id` what its API takes later."""

    id: int | str
    note_id: int | None = None
    body: str | None = None
    user: User | None = None

    @property
    def key(self) -> str:
        """What the API takes to change it."""
        return str(self.id if self.note_id is None else self.note_id)


class V5Issue(Part):
    """An issue; its number may have letters."""

    number: int | str
    body: str | None = None
    user: User | None = None


class _V5Commit(Part):
    id: Sha | None = None
    sha: Sha | None = None


class V5Branch(Part):
    """A branch with its newest commit, whose hash Gitee calls `sha` and GitCode `id`."""

    commit: _V5Commit

    @property
    def head(self) -> str:
        """The hash, "" where the answer has none."""
        return self.commit.sha or self.commit.id or ""


class _Repository(Part):
    html_url: str = ""  # not the name: some answers have the one for people, which two repositories may share


class _Side(Part):
    sha: Sha
    ref: RefName
    repo: _Repository | None = None  # None where a fork is gone


class V5PullRequest(Part):
    """A pull request."""

    number: Annotated[int, Field(ge=1)]
    state: str
    draft: bool | None = None
    user: User | None = None
    head: _Side
    base: _Side

    @property
    def is_open(self) -> bool:
        """Whether it may still be merged."""
        return self.state in _OPEN

    @property
    def is_of_fork(self) -> bool:
        """Whether its branch is not known to lie in the repository that it is to be merged into."""
        if self.head.repo is None or self.base.repo is None or not self.head.repo.html_url:
            return True
        return self.head.repo != self.base.repo

    def as_pull_request(self, repository: str, base_sha: str) -> PullRequest:
        """Return it as other forges describe it; the repository of a fork stays unnamed."""
        into = HeadRepository(full_name=repository)
        return PullRequest(
            number=self.number,
            state="open" if self.is_open else "closed",
            draft=bool(self.draft),
            user=self.user,
            head=Branch(sha=self.head.sha, ref=self.head.ref, repo=None if self.is_of_fork else into),
            base=Branch(sha=base_sha, ref=self.base.ref, repo=into),
        )


class GiteePullRequestEvent(Part):
    """Gitee's `Merge Request Hook`."""

    action: str = ""
    action_desc: str | None = None  # why, of an update
    pull_request: V5PullRequest


class _GiteeRepository(Part):
    default_branch: str | None = None


class GiteePushEvent(Part):
    """Gitee's `Push Hook`."""

    ref: RefName
    before: Sha
    after: Sha
    deleted: bool = False
    repository: _GiteeRepository


class _GiteeComment(Part):
    id: Annotated[int, Field(ge=1)]
    body: str
    user: User | None = None


class _Numbered(Part):
    number: Annotated[int, Field(ge=1)]


class GiteeNoteEvent(Part):
    """Gitee's `Note Hook`."""

    action: str = "comment"
    comment: _GiteeComment
    noteable_type: str
    pull_request: _Numbered | None = None


class _GitCodeAttributes(Part):
    iid: Annotated[int, Field(ge=1)]
    action: str = ""
    act_desc: str | None = None  # why, of an update
    source_project_id: int | None = None
    target_project_id: int
    target_branch: RefName
    last_commit: _V5Commit


class GitCodeMergeRequestEvent(Part):
    """GitCode's `Merge Request Hook`, which is GitLab's with another word on why there was an update."""

    object_attributes: _GitCodeAttributes
