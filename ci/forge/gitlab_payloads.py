"""The part of GitLab's answers and webhook payloads that is read here, checked."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ci.forge.webhook_payloads import Branch, HeadRepository, Login, Part, PullRequest, RefName, Sha, User

_OPEN = ("opened", "locked")  # "locked" while it is being merged


class GitLabUser(Part):
    """An account."""

    id: int
    username: Login


class GitLabMember(Part):
    """What an account may do with a project, directly or by its groups."""

    access_level: int
    state: str = ""


class GitLabStatus(Part):
    """A commit status."""

    id: int
    name: str
    status: str
    description: str | None = None
    target_url: str | None = None


class GitLabNote(Part):
    """A comment."""

    id: int
    body: str = ""
    author: GitLabUser | None = None


class GitLabIssue(Part):
    """An issue."""

    iid: int
    state: str
    description: str | None = None
    author: GitLabUser | None = None


class _Id(Part):
    id: int


class _CommitId(Part):
    id: Sha


class GitLabCommit(Part):
    """A commit, with its newest pipeline."""

    id: Sha
    last_pipeline: _Id | None = None


class GitLabBranch(Part):
    """A branch with its newest commit."""

    commit: _CommitId


class GitLabMergeRequest(Part):
    """A merge request as the API describes it."""

    iid: Annotated[int, Field(ge=1)]
    state: str
    sha: Sha | None = None  # None until GitLab has prepared a new merge request
    draft: bool = False
    source_branch: RefName
    target_branch: RefName
    source_project_id: int | None = None  # None where a fork is gone
    target_project_id: int
    author: GitLabUser | None = None

    @property
    def is_open(self) -> bool:
        """Whether it may still be merged."""
        return self.state in _OPEN

    @property
    def is_of_fork(self) -> bool:
        """Whether its branch lies in another project than the one it is to be merged into."""
        return self.source_project_id != self.target_project_id

    def as_pull_request(self, repository: str, head_sha: str, base_sha: str) -> PullRequest:
        """Return it as other forges describe it; the repository of a fork stays unnamed."""
        into = HeadRepository(full_name=repository)
        return PullRequest(
            number=self.iid,
            state="open" if self.is_open else "closed",
            draft=self.draft,
            user=User(login=self.author.username) if self.author else None,
            head=Branch(sha=head_sha, ref=self.source_branch, repo=None if self.is_of_fork else into),
            base=Branch(sha=base_sha, ref=self.target_branch, repo=into),
        )


class _Project(Part):
    default_branch: str | None = None


class _MergeRequestAttributes(Part):
    iid: Annotated[int, Field(ge=1)]
    action: str = ""  # "" for a test of the webhook
    oldrev: str | None = None  # only where commits were pushed
    source_project_id: int | None = None
    target_project_id: int
    target_branch: RefName
    last_commit: _CommitId


class _Changes(Part):
    draft: dict[str, object] | None = None
    target_branch: dict[str, object] | None = None


class GitLabMergeRequestEvent(Part):
    """`Merge Request Hook`."""

    object_attributes: _MergeRequestAttributes
    changes: _Changes = Field(default_factory=_Changes)

    @property
    def is_update(self) -> bool:
        """Whether an update changes what has to be judged: commits, target branch, or whether it is a draft."""
        pushed = self.object_attributes.oldrev is not None
        return pushed or self.changes.draft is not None or self.changes.target_branch is not None


class GitLabPushEvent(Part):
    """`Push Hook`."""

    ref: RefName
    before: Sha
    after: Sha
    project: _Project


class _NoteAttributes(Part):
    id: Annotated[int, Field(ge=1)]
    note: str
    noteable_type: str
    action: str = "create"  # GitLab before 16.11 has no other
    system: bool = False


class _NotedMergeRequest(Part):
    iid: Annotated[int, Field(ge=1)]


class _Commenter(Part):
    username: Login


class GitLabNoteEvent(Part):
    """`Note Hook`."""

    user: _Commenter
    object_attributes: _NoteAttributes
    merge_request: _NotedMergeRequest | None = None
