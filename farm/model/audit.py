"""What is in the audit log: who did what, from where, and what came of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

DONE = "done"  # the outcome of what was done; another one begins with "refused: "


class AuditAction(str, enum.Enum):
    """What people and programs do that somebody may ask about later. There is one log for farm and service."""

    APPROVED = "approved"  # a job
    CANCELLED = "cancelled"  # a job, by somebody
    RETRIED = "retried"  # a job
    SUBMITTED = "submitted"  # a commit
    QUARANTINED = "quarantined"  # a device
    RELEASED = "released"  # a device
    TOKEN_CREATED = "token-created"
    TOKEN_REVOKED = "token-revoked"
    TOKEN_USED = "token-used"  # for requests of the API; once a day for each scope, address and outcome
    SIGNED_IN = "signed-in"  # to the dashboard


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, and from where."""

    name: str  # "LOGIN@FORGE", "token NAME", "user NAME"
    origin: str  # "comment 17 on pull/7", an IP address, "console of HOST"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that somebody has done, or was refused."""

    sequence: int
    at: str  # ISO 8601, UTC
    actor: str
    origin: str  # "" in entries of an older farm
    action: AuditAction
    subject: str  # id of the job, a commit, "PLATFORM/DEVICE", or name of the token
    outcome: str  # "done" or "refused: …"
    detail: str  # one line
