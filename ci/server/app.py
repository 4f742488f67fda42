"""The service's HTTP face: webhooks in, the API, the dashboard, metrics, and whether it is alive and ready."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import Engine
from starlette.requests import ClientDisconnect

from ci.api import router
from ci.api.access import READER
from ci.config.settings import Config
from ci.errors import RejectedDeliveryError
from ci.forge.protocol import Forge
from ci.outbox.waiting import within
from ci.server.http_semantics import HttpSemantics
from ci.server.metrics import Metrics
from ci.server.request_timer import RequestTimer
from ci.store.engine import check_revision
from ci.web.app import create_web
from ci.web.live import Live
from ci.webhook.events import EVENTS
from ci.webhook.inbox import Inbox, Receipt
from ci.webhook.intake import Delivery, Headers, read_delivery, read_headers, too_large
from farm import __version__
from farm.errors import FarmError

LOG = logging.getLogger(__name__)

_ANSWER_WITHIN_S = 8.0  # GitHub hangs up after 10; it then calls the delivery failed, and can send it again
_LARGE_BYTES = 256 << 10  # from here on checking takes milliseconds, which the event loop does not have
_FULL = ("disk is full", "no space left", "disk full")


def create_app(
    config: Config,
    engine: Engine,
    inbox: Inbox,
    forges: Mapping[str, Forge] | None = None,
    ailing: Callable[[], str] = lambda: "",
) -> FastAPI:
    """The application over an opened database. It starts nothing and closes nothing that it was given.

    `forges` say what people who sign in by them may do; without them nobody does. `ailing` says what of the service
    does not work any more, "" while all does. Raises `UsageError` where the key of the dashboard's sessions cannot be
    used. `app.state.live` is to be ended before the server waits for its connections.
    """
    # No /docs: that page would load its scripts from elsewhere. The document is below the API, for those who may read.
    app = FastAPI(title="NPU kernel farm", version=__version__, openapi_url=None, docs_url=None, redoc_url=None)
    metrics = Metrics(engine, forges)
    app.state.live = Live(config.server.max_connections // 2)  # so that deliveries and pages always find room
    router.install(app, config, engine)

    @app.post("/webhooks/{forge}", status_code=202, include_in_schema=False)
    async def webhook(forge: str, request: Request) -> JSONResponse:
        """Take in one delivery: 202 once it is on disk, 200 where there is nothing to do, else why it is refused."""
        begin = time.perf_counter()
        answer = await _delivered(config, inbox, forge, request)
        metrics.answered(answer.status_code, time.perf_counter() - begin)
        return answer

    @app.get("/metrics", dependencies=[READER], include_in_schema=False)
    def measured() -> Response:
        """For Prometheus, who sends a token of scope `read` unless reading is public."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> dict[str, str]:
        """Whether the process serves at all."""
        return {"status": "alive"}

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> JSONResponse:
        """Whether deliveries can be taken in now, and are acted on. Why not is in the log: anybody may ask this."""
        why = ailing() or await _database_problem(engine)
        if why:
            LOG.error("not ready: %s", why)
            return JSONResponse({"status": "not ready"}, 503)
        return JSONResponse({"status": "ready"})

    # Whatever has no route above; mounted, it would hide their 405.
    web = create_web(config, engine, forges or {}, app.state.live)
    app.router.default = web
    app.add_middleware(RequestTimer, observe=metrics.requested)  # inside of the next: HEAD counts as GET
    app.add_middleware(HttpSemantics, routes=[*app.routes, *web.routes])
    return app


async def _database_problem(engine: Engine) -> str:
    """Why the database cannot be used, "" where it can."""
    try:
        await within(asyncio.to_thread(check_revision, engine), _ANSWER_WITHIN_S)
    except FarmError as error:
        return str(error)
    except asyncio.TimeoutError:
        return "the database does not answer"
    return ""


async def _delivered(config: Config, inbox: Inbox, forge: str, request: Request) -> JSONResponse:
    try:
        return await _take_in(config, inbox, forge, request)
    except RejectedDeliveryError as error:
        LOG.warning("delivery %s of %s refused: %s", _id(request), _shown(forge), error)
        return _answer(error.status, "refused", str(error))
    except ClientDisconnect:
        LOG.warning("delivery %s of %s broke off", _id(request), _shown(forge))
        return _answer(400, "refused", "the body broke off")  # nobody reads it
    except FarmError as error:
        LOG.error("delivery %s of %s could not be kept: %s", _id(request), _shown(forge), error)
        full = any(sign in str(error).lower() for sign in _FULL)
        return _answer(507 if full else 503, "not kept", f"{error}; deliver it again")


async def _take_in(config: Config, inbox: Inbox, forge: str, request: Request) -> JSONResponse:
    if forge not in config.forge:
        raise RejectedDeliveryError(404, "no forge of that name is configured")
    limit = config.server.max_body_bytes
    headers = read_headers(request.headers, limit, config.forge[forge].kind)
    body = await _body(request, limit)
    delivery = await _checked(config, forge, headers, body)
    if delivery.event not in EVENTS:
        return _answer(200, "ignored", f"event '{delivery.event}' asks for nothing here")
    if delivery.repository and config.find(forge, delivery.repository) is None:
        raise RejectedDeliveryError(404, f"repository '{delivery.repository}' has no [[repository]] in farm.toml")
    try:
        receipt = await within(inbox.put(delivery), _ANSWER_WITHIN_S)
    except asyncio.TimeoutError:
        LOG.error("delivery %s: the database has not answered for %.0f s", delivery.id, _ANSWER_WITHIN_S)
        return _answer(503, "not kept", "the database is busy; deliver it again")
    detail = "this delivery is here already" if receipt is Receipt.REPLAYED else ""
    return _answer(200 if receipt is Receipt.REPLAYED else 202, receipt.value, detail)


async def _body(request: Request, limit: int) -> bytes:
    """The body, given up as soon as it is longer than `limit`, whatever Content-Length claimed."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise too_large(limit)
        parts.append(part)
    return b"".join(parts)


async def _checked(config: Config, forge: str, headers: Headers, body: bytes) -> Delivery:
    arguments = (forge, headers, body, config.forge[forge].webhook_secrets)
    if len(body) >= _LARGE_BYTES:
        return await asyncio.to_thread(read_delivery, *arguments)
    return read_delivery(*arguments)


def _answer(status: int, word: str, detail: str) -> JSONResponse:
    return JSONResponse({"status": word, "detail": detail}, status_code=status)


def _id(request: Request) -> str:
    """The delivery's id for the log; anything may stand there before it is checked."""
    names = ("x-github-delivery", "idempotency-key", "x-gitlab-event-uuid", "x-gitcode-delivery", "x-gitee-timestamp")
    return _shown(next((request.headers[name] for name in names if name in request.headers), "without an id"))


def _shown(text: str) -> str:
    """What a stranger wrote, for one line of the log."""
    return ascii(text)[:70]
