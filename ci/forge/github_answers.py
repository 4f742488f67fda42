"""The part of GitHub's answers that is read, checked; see `ci.forge.webhook_payloads` for why only that part."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import Field

from ci.forge.protocol import Check
from ci.forge.webhook_payloads import Part, User


class CheckOutput(Part):
    """What a check run says."""

    title: str | None = None
    summary: str | None = None
    annotations_count: int = 0


class CheckRunAnswer(Part):
    """A check run."""

    id: int
    external_id: str | None = None
    status: str
    conclusion: str | None = None
    output: CheckOutput = Field(default_factory=CheckOutput)

    def says(self, check: Check) -> bool:
        """Whether it says the same already, apart from its annotations."""
        conclusion = check.conclusion.value if check.conclusion else None
        same = (self.status, self.conclusion) == (check.status.value, conclusion)
        return same and self.output.title == check.title


class CommentAnswer(Part):
    """A comment."""

    id: int
    body: str = ""
    user: User | None = None


class IssueAnswer(Part):
    """An issue, or a pull request where it says so."""

    number: int
    body: str | None = None
    user: User | None = None
    pull_request: dict[str, object] | None = None


class Commit(Part):
    """A commit."""

    sha: str


class BranchAnswer(Part):
    """A branch."""

    commit: Commit


class HookConfig(Part):
    """Where a hook delivers to."""

    url: str = ""


class Hook(Part):
    """A webhook of a repository."""

    id: int
    config: HookConfig


class DeliveryAnswer(Part):
    """One try of the forge to deliver a webhook."""

    id: int
    guid: str  # the same for every try
    delivered_at: datetime
    status_code: int  # what we answered; 0 where nobody did


def to_redeliver(deliveries: Sequence[DeliveryAnswer]) -> list[int]:
    """Ids of the deliveries that never arrived, oldest first, one a guid.

    What we refused (4xx) would be refused again; asking for it at every start would never end.
    """
    settled = {each.guid for each in deliveries if 200 <= each.status_code < 500}
    lost = {each.guid: each.id for each in deliveries if each.guid not in settled}  # the last is the oldest
    return sorted(lost.values())
