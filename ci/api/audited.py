"""A change that somebody asks for: what is refused is in the audit log as well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from ci.api.problems import ApiError
from farm.model.audit import Actor, AuditAction
from farm.store import audit_log
from farm.store.engine import transaction

_UNKNOWN = 404  # a sender of invented subjects must not fill the log


@contextmanager
def audited(engine: Engine, by: Actor, action: AuditAction, subject: str) -> Iterator[Connection]:
    """Yield a write transaction, whose block notes what it does; an `ApiError` in it is noted as a refusal."""
    try:
        with transaction(engine, "written", write=True) as connection:
            yield connection
    except ApiError as error:
        if error.status_code != _UNKNOWN:
            audit_log.note_alone(engine, by, action, subject, outcome=f"refused: {error.detail}")
        raise
