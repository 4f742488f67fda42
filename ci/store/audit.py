"""The audit log: who has approved, retried, cancelled, quarantined, released, or made and revoked a token."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select

from ci.store.states import AuditAction
from ci.store.tables import AUDIT
from farm import timestamps

_LONGEST_DETAIL = 1000  # characters


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that somebody has done."""

    sequence: int
    at: str  # ISO 8601, UTC
    actor: str  # "LOGIN@FORGE", "token NAME", "console"
    action: AuditAction
    subject: str  # id of the job, "PLATFORM/DEVICE", or name of the token
    detail: str  # one line


def note(connection: Connection, actor: str, action: AuditAction, subject: str, detail: str = "") -> None:
    """Add an entry, in the transaction of what it is about."""
    line = " ".join(detail.split())[:_LONGEST_DETAIL]
    values = {"at": timestamps.as_text(timestamps.utc_now()), "actor": actor, "action": action.value}
    connection.execute(insert(AUDIT).values(**values, subject=subject, detail=line))


def is_noted(connection: Connection, action: AuditAction, beginning: str) -> bool:
    """Return whether there is an entry of `action` whose detail has this beginning."""
    begins = func.substr(AUDIT.c.detail, 1, len(beginning)) == beginning
    wanted = select(AUDIT.c.sequence).where(AUDIT.c.action == action.value, begins).limit(1)
    return connection.execute(wanted).first() is not None


def entries(connection: Connection, limit: int, before: int | None = None, subject: str = "") -> list[AuditEntry]:
    """Return entries, the newest first.

    Args:
        connection: Of the store.
        limit: How many at most.
        before: Only entries older than the one of this sequence number.
        subject: Only entries about this job, device or token; "" for all.
    """
    query = select(AUDIT).order_by(AUDIT.c.sequence.desc()).limit(limit)
    if before is not None:
        query = query.where(AUDIT.c.sequence < before)
    if subject:
        query = query.where(AUDIT.c.subject == subject)
    found = connection.execute(query).all()
    return [
        AuditEntry(row.sequence, row.at, row.actor, AuditAction(row.action), row.subject, row.detail) for row in found
    ]
