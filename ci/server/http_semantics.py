"""What HTTP asks of every resource alike: HEAD, OPTIONS, a complete `Allow`, and an id for each request."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOG = logging.getLogger(__name__)

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class HttpSemantics:
    """Wraps an application whose routes are `routes`."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        method = scope["method"]
        allowed = self._allowed(scope) if method in ("OPTIONS", "HEAD") else set()
        if method == "OPTIONS" and allowed:
            answer = Response(
                status_code=204, headers={"allow": ", ".join(sorted(allowed)), "x-request-id": request_id}
            )
            await answer(scope, receive, send)
            return
        headless = method == "HEAD" and "GET" in allowed
        started = False

        async def heard() -> Message:
            # Once the header is sent nothing more is wanted, which ends a stream that would go on for ever.
            return {"type": "http.disconnect"} if headless and started else await receive()

        async def said(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._complete(scope, message, request_id)
                await send(message)
                if headless:
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            elif not headless:
                await send(message)

        await self._app({**scope, "method": "GET"} if headless else scope, heard, said)

    def _complete(self, scope: Scope, message: Message, request_id: str) -> None:
        """Add what every answer has, and note what went wrong under the id that the client gets."""
        headers = MutableHeaders(scope=message)
        headers["x-request-id"] = request_id
        status = message["status"]
        if status == 405:
            headers["allow"] = ", ".join(sorted(self._allowed(scope)))
        if status >= 500:
            LOG.warning("request %s: %s %s: HTTP %d", request_id, scope["method"], ascii(scope["path"])[:200], status)

    def _allowed(self, scope: Scope) -> set[str]:
        """The methods of the resource a request is for; none where there is no such resource."""
        methods = {method for method in _METHODS for route in self._routes if _serves(route, scope, method)}
        if not methods:
            return set()
        return methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())


def _serves(route: BaseRoute, scope: Scope, method: str) -> bool:
    """Whether `route` answers the request's path by `method`; a router within it is asked the same way."""
    if isinstance(route, Mount) and method != "GET":
        return False  # files; a mount itself matches by path alone
    match, _ = route.matches({**scope, "method": method})
    return match is Match.FULL
