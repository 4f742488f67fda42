"""The dashboard put together: an application of its own, so that its errors are pages and its headers are strict.

The policy lets a page load scripts, styles and data from this service and nothing from elsewhere, and nothing inline.
Of the two hashes in it one is that of an *empty* style element: plotly.js makes one and fills it through the CSSOM,
which the policy does not concern; with anything written into it, the hash would not match. The other is that of the
style sheet for maps, which plotly.js adds on loading whether there is a map or not; a plotly that has another one works
as well, with a line in the browser's console.
"""

from __future__ import annotations

import http
import logging
from collections.abc import Mapping
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import Engine
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ci.api import problems
from ci.api.access import ApiContext
from ci.config.settings import Config
from ci.forge.accounts import open_accounts
from ci.forge.protocol import Forge
from ci.web import assets, audit, compare, devices, job_list, jobs, kernels, logs, nights, now, run, runs, suites
from ci.web.auth import forge_sign_in, key, sign_in
from ci.web.auth.access import SignInNeededError, Viewer, viewer
from ci.web.auth.members import Members
from ci.web.auth.oauth_state import Errands
from ci.web.auth.session import Sessions
from ci.web.live import EVENTS, Live, reload
from ci.web.log_readings import LogReadings
from ci.web.pages import render
from farm import paths
from farm.errors import FarmError, InfrastructureError, UnknownRunError

LOG = logging.getLogger(__name__)

_EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
_MAPS_STYLE = "'sha256-ji27qzEtxXZW+7dun6UwjHXJ18e6WAin1VvNtkzIE/o='"
POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'self'; "
    f"style-src 'self' {_EMPTY_STYLE} {_MAPS_STYLE}; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",  # a page shows what its viewer may see; the next user of the browser is another one
}
_PAGES = (
    now,
    runs,
    run,
    logs,
    job_list,
    jobs,
    kernels,
    devices,
    nights,
    compare,
    suites,
    audit,
    sign_in,
    forge_sign_in,
    assets,
)


def create_web(config: Config, engine: Engine, forges: Mapping[str, Forge], live: Live) -> FastAPI:
    """The pages over an opened database. `forges` say what their people may do; `live` has the streams.

    Raises `UsageError` where the sessions' key cannot be used.
    """
    web = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    given = config.web.session_key
    secret = given.get_secret_value().encode() if given else key.load_or_make(paths.home())
    web.state.gate = ApiContext(config, engine)
    web.state.sessions = Sessions(secret, config.server.public_url.scheme == "https")
    web.state.errands = Errands(secret)
    web.state.accounts = open_accounts(config)
    web.state.members = Members(config, forges)
    web.state.live = live
    web.state.readings = LogReadings()
    for page in _PAGES:
        web.include_router(page.router)
    _handle_errors(web)
    web.add_middleware(_Strict)
    return web


class _Strict:
    """Puts the headers on whatever has none of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, sent)


def _handle_errors(web: FastAPI) -> None:
    """Handlers are no coroutines, so that they may ask the store who is there."""

    @web.exception_handler(SignInNeededError)
    def sign_in_needed(request: Request, _error: SignInNeededError) -> Response:
        if EVENTS in request.headers.get("accept", ""):  # a part of a page that is open, which is to be loaded anew
            return Response(reload(), media_type=EVENTS)
        if request.headers.get("x-farm-live"):  # a log that is followed; its script does the same
            return Response("signed out", 401)
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?next={quote(wanted if request.method == 'GET' else '/')}", 303)

    @web.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        return _told(request, error.status_code, str(error.detail))

    @web.exception_handler(RequestValidationError)
    def not_understood(request: Request, error: RequestValidationError) -> Response:
        told = "; ".join(f"{each['loc'][-1]}: {each['msg']}" for each in error.errors())
        return _told(request, 422, told)

    @web.exception_handler(FarmError)
    def failed(request: Request, error: FarmError) -> Response:
        if isinstance(error, UnknownRunError):
            return _told(request, 404, str(error))
        LOG.error("a page failed: %s", error)
        return _told(request, 503 if isinstance(error, InfrastructureError) else 500, str(error))

    @web.exception_handler(Exception)
    def broke(request: Request, _error: Exception) -> Response:
        return _told(request, 500, "the service has a fault; its log has the details")


def _told(request: Request, status: int, detail: str) -> Response:
    """An error as a page; below the API, where unknown paths end up here as well, as a problem like all others."""
    if request.url.path.startswith("/api/"):
        return problems.answer(status, detail)
    sessions: Sessions = request.app.state.sessions
    try:
        who = viewer(request, request.app.state.gate, sessions, request.app.state.members)
    except FarmError:  # the store or the forge does not answer, which is what the page is about to say
        who = Viewer(sessions.begin(), "", frozenset())
    title = http.HTTPStatus(status).phrase
    return render(request, "error.html", who, status, title=title, detail=detail, code=status)
