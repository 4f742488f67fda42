"""The audit log in the store: approvals, quarantines, releases, cancellations, retries, tokens and their use."""

from __future__ import annotations

import os
import pwd
import socket

from sqlalchemy import Connection, Engine, func, insert, select

from farm import timestamps
from farm.model.audit import DONE, Actor, AuditAction, AuditEntry
from farm.store.engine import transaction
from farm.store.tables import AUDIT_LOG

_LONGEST = 1000  # characters


def note(
    connection: Connection, actor: Actor, action: AuditAction, subject: str, detail: str = "", outcome: str = DONE
) -> None:
    """Add an entry, in the transaction of what it is about."""
    texts = {"actor": actor.name, "origin": actor.origin, "subject": subject, "outcome": outcome, "detail": detail}
    lines = {name: _line(text) for name, text in texts.items()}
    at = timestamps.as_text(timestamps.utc_now())
    connection.execute(insert(AUDIT_LOG).values(at=at, action=action.value, **lines))


def note_alone(
    engine: Engine, actor: Actor, action: AuditAction, subject: str, detail: str = "", outcome: str = DONE
) -> None:
    """Add an entry about something that changes nothing in the store, or was refused."""
    with transaction(engine, "written", write=True) as connection:
        note(connection, actor, action, subject, detail, outcome)


def is_noted(connection: Connection, action: AuditAction, beginning: str) -> bool:
    """Return whether `action` was done with a detail that has this beginning."""
    begins = func.substr(AUDIT_LOG.c.detail, 1, len(beginning)) == beginning
    done = (AUDIT_LOG.c.action == action.value, AUDIT_LOG.c.outcome == DONE)
    return connection.execute(select(AUDIT_LOG.c.sequence).where(*done, begins).limit(1)).first() is not None


def entries(connection: Connection, limit: int, before: int | None = None, subject: str = "") -> list[AuditEntry]:
    """Return entries, the newest first.

    Args:
        connection: Of the store.
        limit: How many at most.
        before: Only entries older than the one of this sequence number.
        subject: Only entries about this job, commit, device or token; "" for all.
    """
    query = select(AUDIT_LOG).order_by(AUDIT_LOG.c.sequence.desc()).limit(limit)
    if before is not None:
        query = query.where(AUDIT_LOG.c.sequence < before)
    if subject:
        query = query.where(AUDIT_LOG.c.subject == subject)
    return [
        AuditEntry(
            sequence=row.sequence,
            at=row.at,
            actor=row.actor,
            origin=row.origin,
            action=AuditAction(row.action),
            subject=row.subject,
            outcome=row.outcome,
            detail=row.detail,
        )
        for row in connection.execute(query)
    ]


def console() -> Actor:
    """Return the person who runs this process. The name is that of the system's user, whatever the environment says."""
    user = os.getuid()
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:  # as in a container that knows no name for it
        name = str(user)
    return Actor(f"user {name}", f"console of {socket.gethostname()}")


def _line(text: str) -> str:
    """PostgreSQL takes no NUL, and nobody reads on for ever."""
    return " ".join(text.replace("\0", "\N{REPLACEMENT CHARACTER}").split())[:_LONGEST]
