"""Ends a connection in order whose request was answered before its body was there."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class UnreadBody:
    """Wraps the application of one connection.

    An answer that comes before the body says that the connection ends. What the client still sends is read and dropped
    first: a socket that is closed with unread data in it is reset, and the client may lose the answer.
    """

    def __init__(self, app: ASGIApp, is_missing: Callable[[], bool]) -> None:
        """`is_missing` returns whether a part of the present request's body has not arrived."""
        self._app = app
        self._is_missing = is_missing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        closing, complete = False, False

        async def said(message: Message) -> None:
            nonlocal closing, complete
            if message["type"] == "http.response.start" and self._is_missing():
                closing = True
                MutableHeaders(scope=message)["connection"] = "close"
            elif closing and message["type"] == "http.response.body" and not message.get("more_body", False):
                complete = True
                message = {**message, "more_body": True}
            await send(message)

        await self._app(scope, receive, said)
        if complete:
            while (await receive()).get("more_body", False):
                pass  # the connection's own timer ends this
            await send({"type": "http.response.body", "body": b"", "more_body": False})
