"""The sign-in page, sign-in with a token of the API, and sign-out."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from ci.api import tokens
from ci.api.access import GateHere, Origin
from ci.web.auth.access import SessionsHere, Viewer, ViewerHere, require_mark
from ci.web.auth.session import keep
from ci.web.pages import render
from farm.model.audit import Actor, AuditAction
from farm.store import audit_log

router = APIRouter()

Place = Annotated[str, Query(alias="next", max_length=2000)]


@router.get("/sign-in")
def form(request: Request, who: ViewerHere, sessions: SessionsHere, place: Place = "/") -> HTMLResponse:
    """Ask for a token, or for the forge to go to."""
    page = shown(request, who, place)
    keep(page, sessions, who.session)  # the form is tied to a session, so there must be one
    return page


@router.post("/sign-in")
def sign_in(
    request: Request,
    gate: GateHere,
    who: ViewerHere,
    sessions: SessionsHere,
    origin: Origin,
    token: Annotated[str, Form(max_length=200)] = "",
    place: Annotated[str, Form(alias="next", max_length=2000)] = "/",
    mark: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Take the token, and begin a session in its name."""
    require_mark(who, sessions, mark)
    found = tokens.find(gate.engine, token.strip())
    if found is not None:
        audit_log.note_alone(gate.engine, Actor(f"token {found.name}", origin), AuditAction.SIGNED_IN, found.name)
    if found is None:
        return shown(request, who, place, 403, "That token is unknown, expired or revoked.")
    answer = RedirectResponse(here(place), 303)
    keep(answer, sessions, sessions.begin(found.name))
    return answer


@router.post("/sign-out")
def sign_out(
    who: ViewerHere, sessions: SessionsHere, mark: Annotated[str, Form(max_length=200)] = ""
) -> RedirectResponse:
    """End the session in this browser."""
    require_mark(who, sessions, mark)
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(sessions.cookie, secure=sessions.secure, httponly=True, samesite="lax")
    return answer


def shown(request: Request, who: Viewer, place: str, status: int = 200, refused: str = "") -> HTMLResponse:
    """The page with every way to sign in; `refused` says what was wrong with the one that was taken."""
    forges = sorted(request.app.state.accounts)
    return render(request, "sign_in.html", who, status, next=here(place), refused=refused, forges=forges)


def here(place: str) -> str:
    """`place` where it is a path of this service, else `/`: a link must not send anybody elsewhere after sign-in."""
    plain = place.isascii() and place.isprintable() and "\\" not in place
    parts = urlsplit(place) if plain and place.startswith("/") and not place.startswith("//") else None
    return place if parts and not parts.scheme and not parts.netloc else "/"
