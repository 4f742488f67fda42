"""Which token was used from where, in the audit log: once a day each, so that a scrape every 15 s does not fill it."""

from __future__ import annotations

import threading

from sqlalchemy import Engine

from ci.store.states import Scope
from farm import timestamps
from farm.model.audit import Actor, AuditAction
from farm.store import audit_log

_MOST = 10_000  # kept in memory; a holder of a token may come from many addresses


class TokenUses:
    """The uses that this process has noted today."""

    def __init__(self) -> None:
        self._noted: set[tuple[str, ...]] = set()
        self._day = ""
        self._lock = threading.Lock()

    def note(self, engine: Engine, token: str, origin: str, scope: Scope, outcome: str) -> None:
        """Add an entry where today has none like it. Raises `StoreError`; what cannot be noted is not done."""
        use = (token, origin, scope.value, outcome)
        if self._is_new(use):
            actor = Actor(f"token {token}", origin)
            audit_log.note_alone(engine, actor, AuditAction.TOKEN_USED, token, f"scope {scope.value}", outcome)

    def _is_new(self, use: tuple[str, ...]) -> bool:
        today = timestamps.as_text(timestamps.utc_now())[:10]
        with self._lock:
            if today != self._day or len(self._noted) >= _MOST:
                self._day = today
                self._noted.clear()
            if use in self._noted:
                return False
            self._noted.add(use)
            return True
