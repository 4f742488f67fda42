"""Sign-in with an account of a forge: to the forge, and back from it with a code. Whatever goes wrong is one page."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from fastapi.responses import RedirectResponse, Response

from ci.api.access import GateHere, Origin
from ci.errors import ForgeRefusedError, ForgeUnavailableError
from ci.forge.accounts import Accounts
from ci.web.auth.access import MembersHere, SessionsHere, Viewer
from ci.web.auth.oauth_state import Errands
from ci.web.auth.session import Account, BrowserSession, keep
from ci.web.auth.sign_in import Place, here, shown
from farm.model.audit import Actor, AuditAction
from farm.store import audit_log

LOG = logging.getLogger(__name__)

router = APIRouter(prefix="/sign-in/{forge}")

ForgeName = Annotated[str, Path(max_length=100)]
Told = Annotated[str, Query(max_length=4000)]


def _accounts(request: Request, forge: ForgeName) -> Accounts:
    """Those of the forge that is named. Raises 404 where nobody signs in by it."""
    found: Mapping[str, Accounts] = request.app.state.accounts
    if forge not in found:
        raise HTTPException(404, "nobody signs in by that forge here; [forge.NAME.sign_in] in farm.toml would do it")
    return found[forge]


def _errands(request: Request) -> Errands:
    errands: Errands = request.app.state.errands
    return errands


AccountsHere = Annotated[Accounts, Depends(_accounts)]
ErrandsHere = Annotated[Errands, Depends(_errands)]


@router.get("")
def leave(
    request: Request,
    gate: GateHere,
    sessions: SessionsHere,
    accounts: AccountsHere,
    errands: ErrandsHere,
    forge: ForgeName,
    place: Place = "/",
) -> RedirectResponse:
    """Send the browser to the forge. Who has it sent here by a trick signs in as nobody but themselves."""
    session = sessions.load(request.cookies.get(sessions.cookie)) or sessions.begin()
    errand = errands.begin(session, forge, here(place))
    answer = RedirectResponse(accounts.address(_callback(gate, forge), errand.state, errand.verifier), 303)
    keep(answer, sessions, session)  # the way back is this session's alone
    return answer


@router.get("/callback")
async def come_back(
    request: Request,
    gate: GateHere,
    sessions: SessionsHere,
    members: MembersHere,
    accounts: AccountsHere,
    errands: ErrandsHere,
    forge: ForgeName,
    origin: Origin,
    state: Told = "",
    code: Told = "",
    error: Told = "",
) -> Response:
    """Take what the forge has sent the browser back with, and begin a session in the name of the account."""
    session = sessions.load(request.cookies.get(sessions.cookie))
    errand = errands.end(state, session, forge)
    if errand is None:
        told = "This sign-in was not begun in this browser, is older than ten minutes, or was used already."
        return _refused(request, session, forge, 403, told, "the state is not of this session")
    if error or not code:
        return _refused(request, session, forge, 403, f"{forge} has not let you in.", f"{error[:60]!a}")
    try:
        account = Account(forge, await accounts.login(_callback(gate, forge), code, errand.verifier))
        scopes = await members.scopes(account, fresh=True)
    except ForgeRefusedError as refusal:
        told = f"{forge} does not know that code, or not any more."
        return _refused(request, session, forge, 403, told, str(refusal))
    except ForgeUnavailableError as outage:
        told = f"{forge} does not answer as it should; try again later, or sign in with a token."
        return _refused(request, session, forge, 503, told, str(outage))
    if not scopes:
        terms = accounts.sign_in
        told = f"{account.name} has no {terms.least} access to {terms.repository}, by which people get in here."
        return _refused(request, session, forge, 403, told, f"{account.name} has no {terms.least} access")
    LOG.info("%s signed in, for %s", account.name, " ".join(sorted(scope.value for scope in scopes)))
    by = Actor(account.name, origin)
    await asyncio.to_thread(audit_log.note_alone, gate.engine, by, AuditAction.SIGNED_IN, account.name)
    answer = RedirectResponse(errand.place, 303)
    keep(answer, sessions, sessions.begin(account=account))
    return answer


def _callback(gate: GateHere, forge: str) -> str:
    """The address that is registered at the forge."""
    return f"{str(gate.config.server.public_url).rstrip('/')}/sign-in/{forge}/callback"


def _refused(
    request: Request, session: BrowserSession | None, forge: str, status: int, told: str, logged: str
) -> Response:
    """The sign-in page with what went wrong, and a line in the log."""
    LOG.warning("sign-in by %s refused: %s", forge, logged)
    sessions = request.app.state.sessions
    kept = session or sessions.begin()
    page = shown(request, Viewer(kept, "", frozenset()), "/", status, f"{told} Begin again.")
    keep(page, sessions, kept)
    return page
