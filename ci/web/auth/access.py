"""Who looks at a page and what they may do. Buttons are drawn by it, and every form is checked against it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from anyio import from_thread
from fastapi import Depends, Form, HTTPException, Request

from ci.api import tokens
from ci.api.access import ApiContext, GateHere, Origin
from ci.store.states import Scope
from ci.web.auth.members import Members
from ci.web.auth.session import BrowserSession, Sessions
from farm.model.audit import Actor, AuditAction
from farm.store import audit_log

SubjectOf = Callable[..., Callable[[], str]]


class SignInNeededError(Exception):
    """The page is for those who have signed in."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """The person or program that sends the request."""

    session: BrowserSession
    name: str  # of the token or the account; "" for nobody
    scopes: frozenset[Scope]

    @property
    def signed_in(self) -> bool:
        """Whether by a token in force, or an account that may do anything here."""
        return bool(self.name)

    @property
    def by(self) -> str:
        """Who did something, for the record."""
        return self.name if self.session.account else f"token {self.name}"

    @property
    def submits(self) -> bool:
        """Whether they may cancel and retry jobs."""
        return Scope.SUBMIT in self.scopes

    @property
    def administers(self) -> bool:
        """Whether they may take devices out and bring them back."""
        return Scope.ADMIN in self.scopes


def _sessions(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions


def _members(request: Request) -> Members:
    members: Members = request.app.state.members
    return members


SessionsHere = Annotated[Sessions, Depends(_sessions)]
MembersHere = Annotated[Members, Depends(_members)]


def viewer(request: Request, gate: GateHere, sessions: SessionsHere, members: MembersHere) -> Viewer:
    """Who the request's cookie says it is; nobody where it says nothing that holds.

    Of a worker thread, not of the event loop. Raises `ForgeUnavailableError` where what an account may do is not known.
    """
    session = sessions.load(request.cookies.get(sessions.cookie)) or sessions.begin()
    if session.account is not None:
        scopes = from_thread.run(members.scopes, session.account)
        return Viewer(session, session.account.name if scopes else "", scopes | _open(gate))
    token = tokens.named(gate.engine, session.token) if session.token else None
    return Viewer(session, token.name if token else "", (token.scopes if token else frozenset()) | _open(gate))


def _open(gate: ApiContext) -> frozenset[Scope]:
    return frozenset({Scope.READ}) if gate.config.api.public_read else frozenset()


ViewerHere = Annotated[Viewer, Depends(viewer)]


def reader(who: ViewerHere) -> Viewer:
    """A viewer who may read. Raises `SignInNeededError` where signing in may help."""
    return _with(who, Scope.READ)


def still_reads(request: Request) -> bool:
    """Return whether the viewer may read now. Of a worker thread; raises what `viewer` raises."""
    state = request.app.state
    return Scope.READ in viewer(request, state.gate, state.sessions, state.members).scopes


def acting(scope: Scope, action: AuditAction, subject_of: SubjectOf) -> Callable[..., Viewer]:
    """A dependency of what changes something: a form of the viewer's own session, and a token with `scope`.

    Who lacks the scope is in the audit log, once a day for each address, action and subject: a viewer must not fill it.

    Args:
        scope: What the viewer needs.
        action: What the form asks for.
        subject_of: A dependency that returns how to look up what it is about. The look-up raises `HTTPException` where
            there is none; it comes after the viewer is known, so that strangers learn nothing from it.
    """

    looks_up: Any = Depends(subject_of)

    def check(
        gate: GateHere,
        who: ViewerHere,
        sessions: SessionsHere,
        origin: Origin,
        mark: Annotated[str, Form(max_length=200)] = "",
        find_subject: Callable[[], str] = looks_up,
    ) -> Viewer:
        require_mark(who, sessions, mark)
        if who.signed_in and scope not in who.scopes:
            subject = find_subject()
            if gate.refusals.is_first(who.by, origin, action.value, subject):
                outcome = f"refused: no scope '{scope.value}'"
                audit_log.note_alone(gate.engine, Actor(who.by, origin), action, subject, outcome=outcome)
        return _with(who, scope)

    return check


def require_mark(who: Viewer, sessions: Sessions, mark: str) -> None:
    """Refuse a form that another site, or an older session, has sent."""
    if not sessions.marked(who.session, mark):
        raise HTTPException(403, "this form is not of your present session; load the page again and repeat it")


def _with(who: Viewer, scope: Scope) -> Viewer:
    if scope in who.scopes:
        return who
    if not who.signed_in:
        raise SignInNeededError
    raise HTTPException(403, f"{who.by} has no scope '{scope.value}'")


Reader = Annotated[Viewer, Depends(reader)]
READER: Any = Depends(reader)
