"""Every error of the API as RFC 9457 problem details, and every detail in one line."""

from __future__ import annotations

import http
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from farm.errors import FarmError, InfrastructureError, UnknownRunError

LOG = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_MAX_BODY_BYTES = 64 << 10  # nobody has to send the API or a form more
_WEBHOOKS, _TRIED_PROFILES = "/webhooks/", "/suites"  # have bounds of their own
_STATUSES = (400, 401, 403, 404, 409, 413, 416, 422, 503)


class Problem(BaseModel):
    """What went wrong."""

    type: str = "about:blank"
    title: str = Field(description="The HTTP status in words.")
    status: int
    detail: str = Field(description="One line: what, which value, what to do.")


# For the OpenAPI document of each route.
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {
        "description": http.HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}},
    }
    for status in _STATUSES
}


class ApiError(HTTPException):
    """A request that is not done, and why."""


def answer(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """A problem as a response."""
    told = Problem(title=http.HTTPStatus(status).phrase, status=status, detail=" ".join(detail.split()))
    return JSONResponse(told.model_dump(), status, dict(headers or {}), MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem, and no request to the API larger than it has to be."""

    @app.exception_handler(StarletteHTTPException)
    async def refused(_request: Request, error: StarletteHTTPException) -> JSONResponse:
        return answer(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def not_understood(_request: Request, error: RequestValidationError) -> JSONResponse:
        return answer(422, "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()))

    @app.exception_handler(FarmError)
    async def failed(_request: Request, error: FarmError) -> JSONResponse:
        if isinstance(error, UnknownRunError):
            return answer(404, str(error))
        LOG.error("a request failed: %s", error)
        return answer(503 if isinstance(error, InfrastructureError) else 500, str(error))

    @app.exception_handler(Exception)
    async def broke(_request: Request, _error: Exception) -> JSONResponse:
        return answer(500, "the service has a fault; its log has the details")  # which uvicorn writes

    app.add_middleware(_Limited)


class _Limited:
    """Gives up on a body that is too long. It is read before anybody is asked for a token."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_WEBHOOKS) or scope["path"] == _TRIED_PROFILES:
            await self._app(scope, receive, send)
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > _MAX_BODY_BYTES:
                raise ApiError(413, f"a body of more than {_MAX_BODY_BYTES} bytes")
            return message

        await self._app(scope, counted, send)
