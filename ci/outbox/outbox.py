"""Messages to forges and people, kept until they are delivered: in order for each key, whatever crashes or is down.

A row is written in the transaction of the change it reports, so neither is there without the other. Before a row is
sent its attempt is counted and it is claimed for a while; a sender that dies leaves both, so the next one knows that
the row may have arrived. The forges make nothing twice of such a row, and that makes "at least once" exactly once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Engine, Row, exists, insert, select, update

from ci.forge.protocol import Check, Comment, Issue, Trail
from ci.notify.notice import Notice
from ci.store.states import Operation, OutboxState
from ci.store.tables import OUTBOX
from farm import timestamps
from farm.store.engine import transaction

CLAIM_S = 120.0  # longer than any sending takes; after a crash nothing is sent of that key for so long

Content = Check | Comment | Issue | Notice

CONTENTS: Mapping[Operation, type[Content]] = {
    Operation.CHECK: Check,
    Operation.COMMENT: Comment,
    Operation.ISSUE: Issue,
    Operation.NOTICE: Notice,
}
_OPERATIONS = {kind: operation for operation, kind in CONTENTS.items()}

_PENDING = OUTBOX.c.state == OutboxState.PENDING.value


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """One row that is to be sent now, by nobody else."""

    sequence: int
    key: str
    forge: str
    repository: str
    content: Content
    attempts: int  # this one included
    trail: Trail


def post(connection: Connection, key: str, forge: str, repository: str, content: Content) -> None:
    """Add a row, in the caller's transaction. It stands in for those of its key that nobody has tried to send yet."""
    untried = (OUTBOX.c.key == key, _PENDING, OUTBOX.c.attempts == 0)
    connection.execute(update(OUTBOX).where(*untried).values(state=OutboxState.SUPERSEDED.value))
    operation = _OPERATIONS[type(content)]
    now = timestamps.as_text(timestamps.utc_now())
    told = {"key": key, "forge": forge, "repository": repository, "operation": operation.value}
    begin = {"state": OutboxState.PENDING.value, "attempts": 0, "next_at": now, "error": "", "remote_id": ""}
    connection.execute(insert(OUTBOX).values(**told, **begin, payload=content.model_dump_json(), created_at=now))


def claim(engine: Engine, at: datetime, limit: int, resting: frozenset[str] = frozenset()) -> list[OutboxMessage]:
    """Up to `limit` rows that are due, the oldest of each key, claimed for the caller. Not for `resting` addressees."""
    earlier = OUTBOX.alias()
    blocked = exists().where(
        earlier.c.key == OUTBOX.c.key,
        earlier.c.state == OutboxState.PENDING.value,
        earlier.c.sequence < OUTBOX.c.sequence,
    )
    due = (
        select(OUTBOX)
        .where(_PENDING, OUTBOX.c.next_at <= timestamps.as_text(at), OUTBOX.c.forge.not_in(resting), ~blocked)
        .order_by(OUTBOX.c.sequence)
        .limit(limit)
    )
    with transaction(engine, "read") as connection:
        if not connection.execute(due.limit(1)).first():
            return []  # the usual answer, and it takes no write lock
    with transaction(engine, "written", write=True) as connection:
        return [_letter(connection, row) for row in connection.execute(due).all() if claim_row(connection, row, at)]


def newest(connection: Connection, key: str) -> Content | None:
    """What was last posted for `key`, whether or not it has been sent; None where nothing was."""
    found = select(OUTBOX).where(OUTBOX.c.key == key).order_by(OUTBOX.c.sequence.desc()).limit(1)
    row = connection.execute(found).first()
    return None if row is None else CONTENTS[Operation(row.operation)].model_validate_json(row.payload)


def delivered(engine: Engine, letter: OutboxMessage, remote_id: str) -> None:
    """It has arrived."""
    values = {"state": OutboxState.SENT.value, "remote_id": remote_id, "error": "", "done_at": _now()}
    _settle(engine, letter, values)


def postpone(engine: Engine, letter: OutboxMessage, error: str, until: str) -> None:
    """It may arrive later."""
    _settle(engine, letter, {"error": error, "next_at": until})


def refuse(engine: Engine, letter: OutboxMessage, error: str) -> None:
    """It will never arrive. Later rows of its key are sent all the same."""
    _settle(engine, letter, {"state": OutboxState.REFUSED.value, "error": error, "done_at": _now()})


def claim_row(connection: Connection, row: Row[tuple[object, ...]], at: datetime) -> bool:
    """Claim a row unless another process was faster, which `attempts` shows."""
    mine: tuple[ColumnElement[bool], ...] = (
        OUTBOX.c.sequence == row.sequence,
        OUTBOX.c.attempts == row.attempts,
        _PENDING,
    )
    values = {"attempts": row.attempts + 1, "next_at": timestamps.later(at, CLAIM_S)}
    return bool(connection.execute(update(OUTBOX).where(*mine).values(values)).rowcount)


def remote_id(connection: Connection, key: str) -> str:
    """Return the forge's id of what was made under `key`, "" where nothing has arrived yet."""
    mine = (OUTBOX.c.key == key, OUTBOX.c.remote_id != "")
    newest = select(OUTBOX.c.remote_id).where(*mine).order_by(OUTBOX.c.sequence.desc()).limit(1)
    return str(connection.execute(newest).scalar() or "")


def _letter(connection: Connection, row: Row[tuple[object, ...]]) -> OutboxMessage:
    record = CONTENTS[Operation(row.operation)]
    trail = Trail(remote_id=remote_id(connection, row.key), uncertain=row.attempts > 0)
    content = record.model_validate_json(row.payload)
    return OutboxMessage(row.sequence, row.key, row.forge, row.repository, content, row.attempts + 1, trail)


def _settle(engine: Engine, letter: OutboxMessage, values: dict[str, str]) -> None:
    mine = (OUTBOX.c.sequence == letter.sequence, OUTBOX.c.attempts == letter.attempts, _PENDING)
    with transaction(engine, "written", write=True) as connection:
        connection.execute(update(OUTBOX).where(*mine).values(values))


def _now() -> str:
    return timestamps.as_text(timestamps.utc_now())
