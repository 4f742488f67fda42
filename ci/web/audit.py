"""The audit log as a page, for those who administer: who did what, from where, and what came of it."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse

from ci.api.access import GateHere
from ci.api.pages import cursor, number_position
from ci.store.states import Scope
from ci.web.auth.access import Reader
from ci.web.listing import PAGE, After, Word, listed
from farm.store import audit_log
from farm.store.engine import transaction

router = APIRouter()


@router.get("/audit")
def audit(request: Request, gate: GateHere, who: Reader, subject: Word = "", after: After = "") -> HTMLResponse:
    """Entries, the newest first."""
    if not who.administers:
        raise HTTPException(403, f"the audit log is for scope '{Scope.ADMIN.value}'")
    before = number_position(after) if after else None
    with transaction(gate.engine, "read") as connection:
        found = audit_log.entries(connection, PAGE + 1, before, subject.strip())
    following = cursor(found[PAGE - 1].sequence) if len(found) > PAGE else ""
    return listed(request, who, "audit.html", {"subject": subject}, after, following, entries=found[:PAGE])
