"""The audit log: who has approved, retried, cancelled, quarantined, released, or made and revoked a token."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from ci.api.access import ADMIN, GateHere
from ci.api.pages import Cursor, Limit, Page, cursor, number_position
from farm.model.audit import AuditAction
from farm.store import audit_log
from farm.store.engine import transaction

router = APIRouter(prefix="/audit", tags=["audit"], dependencies=[ADMIN])

Subject = Annotated[str, Query(pattern=r"^[!-~]{1,300}$")]


class AuditLine(BaseModel):
    """One thing that somebody has done, or was refused."""

    sequence: int
    at: str  # ISO 8601, UTC
    actor: str  # "LOGIN@FORGE", "token NAME", "user NAME"
    origin: str  # "comment 17 on pull/7", an IP address, "console of HOST"; "" in entries of an older farm
    action: AuditAction
    subject: str  # id of the job, a commit, "PLATFORM/DEVICE", or name of the token
    outcome: str  # "done" or "refused: …"
    detail: str


@router.get("", summary="List what people have done")
def list_audit(
    gate: GateHere, subject: Subject | None = None, limit: Limit = 50, after: Cursor = None
) -> Page[AuditLine]:
    """Entries, the newest first."""
    before = None if after is None else number_position(after)
    with transaction(gate.engine, "read") as connection:
        found = audit_log.entries(connection, limit + 1, before, subject or "")
    shown = [AuditLine.model_validate(entry, from_attributes=True) for entry in found[:limit]]
    return Page(items=shown, next=cursor(shown[-1].sequence) if len(found) > limit else None)
