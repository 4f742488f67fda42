"""What an event asks of the queue."""

from __future__ import annotations

from dataclasses import dataclass

from ci.store.states import JobKind
from farm.model.priority import Priority


@dataclass(frozen=True, slots=True)
class Validate:
    """A commit is to be validated; older ones of the same subject are not worth it any more."""

    kind: JobKind
    subject: str  # "pull/7" or a full ref name
    number: int | None  # of the pull request
    head_sha: str
    base_sha: str  # "" where the forge did not name one
    base_ref: str
    from_fork: bool
    author: str
    priority: Priority
    anew: bool = False  # a verdict that is there already is not enough: the pull request was closed meanwhile


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody waits for this subject's verdict any more."""

    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rerun:
    """Somebody wants another verdict on a commit; on one job of it where `external_id` names one."""

    head_sha: str
    external_id: str  # "" for all of the commit
    by: str = ""  # who wants it, where that is known
