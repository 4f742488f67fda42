"""Tokens of the API: made, looked up, revoked. Only their digests are kept.

A token is 256 random bits, so one round of SHA-256 is enough: nobody can try all of them, which is what the slow hashes
for passwords are against, and those would cost every request their time. A token is found by its digest in the
database's index. How long that takes reveals digests to a stranger at most, and from a digest nothing follows for the
token, so there is no comparison whose time could give one away.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Engine, Row, insert, select, update

from ci.store.states import Scope
from ci.store.tables import TOKEN
from farm import timestamps
from farm.errors import UsageError
from farm.model.audit import AuditAction
from farm.store import audit_log
from farm.store.engine import transaction

PREFIX = "farm_"  # so that scanners for leaked secrets and people know one when they see it
_RANDOM_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class TokenError(UsageError):
    """A token cannot be made or revoked as asked."""


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token."""

    name: str
    scopes: frozenset[Scope]
    created_at: str  # ISO 8601, UTC, as the others
    expires_at: str | None
    revoked_at: str | None

    def state(self, at: str) -> str:
        """What it is at that moment: "active", "expired" or "revoked"."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= at else "active"


def create(engine: Engine, name: str, scopes: Iterable[Scope], days: int | None = None) -> str:
    """Make a token and return it; nobody can see it again. Raises `TokenError`."""
    if not _NAME.fullmatch(name):
        raise TokenError(f"{name!a} is no name for a token; take up to 64 letters, digits, '.', '_' and '-'")
    wanted = sorted({scope.value for scope in scopes})
    if not wanted:
        raise TokenError("a token without a scope is good for nothing; give --scope")
    token = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    now = timestamps.utc_now()
    values = {
        "name": name,
        "digest": _digest(token),
        "scopes": " ".join(wanted),
        "created_at": timestamps.as_text(now),
        "expires_at": None if days is None else timestamps.later(now, timedelta(days=days).total_seconds()),
    }
    with transaction(engine, "written", write=True) as connection:
        if connection.execute(select(TOKEN.c.sequence).where(TOKEN.c.name == name)).first():
            raise TokenError(f"there is or was a token '{name}'; a name is never used again, take another")
        connection.execute(insert(TOKEN).values(values))
        audit_log.note(connection, audit_log.console(), AuditAction.TOKEN_CREATED, name, " ".join(wanted))
    return token


def find(engine: Engine, token: str) -> Token | None:
    """The token in force that this is, None where it is none."""
    return _in_force(known(engine, token))


def known(engine: Engine, token: str) -> Token | None:
    """The token that this is, in force or not any more; None where it never was one."""
    with transaction(engine, "read") as connection:
        row = connection.execute(select(TOKEN).where(TOKEN.c.digest == _digest(token))).first()
    return _token(row) if row else None


def named(engine: Engine, name: str) -> Token | None:
    """The token in force of that name, None where there is none."""
    with transaction(engine, "read") as connection:
        row = connection.execute(select(TOKEN).where(TOKEN.c.name == name)).first()
    return _in_force(_token(row) if row else None)


def list_tokens(engine: Engine) -> list[Token]:
    """All that were ever made, oldest first."""
    with transaction(engine, "read") as connection:
        return [_token(row) for row in connection.execute(select(TOKEN).order_by(TOKEN.c.sequence))]


def revoke(engine: Engine, name: str) -> None:
    """Make a token worthless from the next request on. Raises `TokenError` where none of that name is left."""
    live = (TOKEN.c.name == name, TOKEN.c.revoked_at.is_(None))
    with transaction(engine, "written", write=True) as connection:
        changed = connection.execute(
            update(TOKEN).where(*live).values(revoked_at=timestamps.as_text(timestamps.utc_now()))
        )
        if changed.rowcount:
            audit_log.note(connection, audit_log.console(), AuditAction.TOKEN_REVOKED, name)
    if not changed.rowcount:
        raise TokenError(f"no token {name!a} is in force; `farm token list` shows all")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _in_force(found: Token | None) -> Token | None:
    return found if found and found.state(timestamps.as_text(timestamps.utc_now())) == "active" else None


def _token(row: Row[tuple[object, ...]]) -> Token:
    scopes = frozenset(Scope(word) for word in str(row.scopes).split())
    return Token(row.name, scopes, row.created_at, row.expires_at, row.revoked_at)
