"""What the gate needs of a forge. A new kind of forge is a new file and one line in `ci/forge/open.py`.

Checks and comments say all there is to say, not what has changed: so a later one stands in for an earlier one that was
never sent, and one that may or may not have arrived can be sent again.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pydantic import Field, SecretStr

from ci.forge.traffic import ForgeTraffic
from ci.forge.webhook_payloads import PullRequest
from jobs.records import Record


class CheckStatus(str, enum.Enum):
    """How far a check is."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"


class Conclusion(str, enum.Enum):
    """What a completed check says. Only `SUCCESS` lets a merge through.

    GitHub's "neutral" and "skipped" are left out on purpose: it counts both as met.
    """

    SUCCESS = "success"
    FAILURE = "failure"  # the kernel's fault
    ACTION_REQUIRED = "action_required"  # errored: says nothing about the kernel, and blocks until it is retried
    CANCELLED = "cancelled"


class AnnotationLevel(str, enum.Enum):
    """How bad what an annotation says is."""

    NOTICE = "notice"
    WARNING = "warning"
    FAILURE = "failure"


class Annotation(Record):
    """A remark on lines of a file of the commit."""

    path: str
    start_line: int = Field(ge=1)
    end_line: int = Field(ge=1)
    level: AnnotationLevel
    title: str
    message: str


class Check(Record):
    """Everything a check on a commit says."""

    name: str
    head_sha: str
    external_id: str  # id of the job
    status: CheckStatus
    conclusion: Conclusion | None = None  # of a completed one
    title: str  # one line
    summary: str = ""  # Markdown
    details_url: str
    annotations: list[Annotation] = Field(default_factory=list)  # of a completed one
    offers_retry: bool = False


class Comment(Record):
    """One comment of ours on a pull request. There is one of each marker, updated in place."""

    number: int  # of the pull request
    marker: str  # its first line, an HTML comment
    body: str  # Markdown

    @property
    def text(self) -> str:
        """The comment as the forge gets it."""
        return f"{self.marker}\n{self.body}"


class Issue(Record):
    """An issue of ours. There is one of each marker: made once, then updated, closed and opened again."""

    marker: str  # the first line of its text, an HTML comment
    title: str  # one line
    body: str  # Markdown
    is_open: bool = True

    @property
    def text(self) -> str:
        """The issue's text as the forge gets it."""
        return f"{self.marker}\n{self.body}"


class Permission(str, enum.Enum):
    """What somebody may do with a repository."""

    NONE = "none"
    READ = "read"
    WRITE = "write"
    MAINTAIN = "maintain"  # between the two, where the forge has it
    ADMIN = "admin"

    @property
    def may_write(self) -> bool:
        """Whether they may command the farm."""
        return self in (Permission.WRITE, Permission.MAINTAIN, Permission.ADMIN)


@dataclass(frozen=True, slots=True)
class Trail:
    """What is known of earlier sendings of the same thing."""

    remote_id: str  # the forge's id of it; "" where it is not known
    uncertain: bool  # whether an earlier try may have arrived without our knowing


class Forge(Protocol):
    """One forge. Every method raises `ForgeUnavailableError` or `ForgeRefusedError`.

    Those called `put_…` return the forge's id of what is there now, and make no second one of what an uncertain earlier
    try has made. `repository` is "owner/name".
    """

    traffic: ForgeTraffic  # what it was asked by this process

    async def put_check(self, repository: str, check: Check, trail: Trail) -> str:
        """Make or update a check."""

    async def put_comment(self, repository: str, comment: Comment, trail: Trail) -> str:
        """Make or update a comment."""

    async def put_issue(self, repository: str, issue: Issue, trail: Trail) -> str:
        """Make, update, close or reopen an issue; a new one where somebody has deleted ours."""

    async def branch_head(self, repository: str, branch: str) -> str:
        """The hash of a branch's newest commit."""

    async def permission(self, repository: str, login: str) -> Permission:
        """What somebody may do."""

    async def pull_request(self, repository: str, number: int) -> PullRequest:
        """A pull request as it is now."""

    async def open_pull_requests(self, repository: str) -> list[PullRequest]:
        """Every open pull request."""

    async def fetch_token(self, repository: str) -> SecretStr:
        """What git has to show to read the repository, good for an hour at least where it ends at all."""

    async def redeliver(self, repositories: list[str], since: datetime) -> int:
        """Ask for the webhook deliveries that found nobody here since then; how many were asked for."""
