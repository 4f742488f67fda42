"""Measures HTTP requests: how long until the answer began, under the pattern of the route that answered."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ci.api.router import PREFIX

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"  # a path without a route, a method that is none: anybody may make up more of them

Observe = Callable[[str, str, int, float], None]


class RequestTimer:
    """Wraps an application. `observe` gets method, route, status and seconds of each answer.

    The beginning of the answer counts and not its end: a page that moves keeps its connection for hours.
    """

    def __init__(self, app: ASGIApp, observe: Observe) -> None:
        self._app = app
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()
        method = scope["method"] if scope["method"] in _METHODS else OTHER
        status = 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._observe(method, _route(scope), status, time.perf_counter() - begin)
            await send(message)

        try:
            await self._app(scope, receive, sent)
        finally:
            if not status:  # it broke before it answered, and the server says 500
                self._observe(method, _route(scope), 500, time.perf_counter() - begin)


def _route(scope: Scope) -> str:
    """The pattern of the route that a request was given to."""
    path = getattr(scope.get("route"), "path", None)
    if not isinstance(path, str):
        return OTHER
    inside = scope["path"].startswith(f"{PREFIX}/") and not path.startswith(PREFIX)  # a router's route lacks its prefix
    return f"{PREFIX}{path}" if inside else path
