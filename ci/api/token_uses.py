"""Which token was used from where, in the audit log: once a day each, so that a scrape every 15 s does not fill it."""

from __future__ import annotations

from sqlalchemy import Engine

from ci.api.once_a_day import OnceADay
from ci.store.states import Scope
from farm.model.audit import Actor, AuditAction
from farm.store import audit_log


class TokenUses:
    """The uses that this process has noted today."""

    def __init__(self) -> None:
        self._today = OnceADay()

    def note(self, engine: Engine, token: str, origin: str, scope: Scope, outcome: str) -> None:
        """Add an entry where today has none like it. Raises `StoreError`; what cannot be noted is not done."""
        if self._today.is_first(token, origin, scope.value, outcome):
            actor = Actor(f"token {token}", origin)
            audit_log.note_alone(engine, actor, AuditAction.TOKEN_USED, token, f"scope {scope.value}", outcome)
