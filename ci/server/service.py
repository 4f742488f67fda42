"""The whole service: the application, and beside it the tasks that act on deliveries and notify the forge."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence

from fastapi import FastAPI
from sqlalchemy import Engine

from ci.config.settings import Config
from ci.forge.protocol import Forge
from ci.notify.open import open_channels
from ci.outbox.sender import Sender
from ci.queue.scheduler import Scheduler
from ci.runner.run_command import FARM
from ci.runner.runner import Runner
from ci.server.app import create_app
from ci.webhook.catch_up import recover
from ci.webhook.dispatcher import Dispatcher
from ci.webhook.inbox import Inbox

LOG = logging.getLogger(__name__)


def create_service(config: Config, engine: Engine, forges: Mapping[str, Forge], farm: Sequence[str] = FARM) -> FastAPI:
    """The application that `uvicorn` serves. It works from its start-up to its shut-down; the engine is the caller's.

    Deliveries are taken in from the first moment, while what was missed is still being asked for. `farm` is the command
    that runs are started with.
    """
    sender = Sender(engine, forges, open_channels(config))
    runner = Runner(engine, config, forges, told=sender.wake, farm=farm)
    working: dict[str, asyncio.Task[None]] = {}

    def acted() -> None:
        sender.wake()
        runner.wake()

    dispatcher = Dispatcher(engine, config, forges, acted=acted)
    scheduler = Scheduler(engine, config, forges, queued=acted)
    inbox = Inbox(engine, arrived=dispatcher.wake)

    async def catch_up() -> None:
        await recover(engine, config, forges)
        acted()

    def ailing() -> str:
        ended = [name for name, task in working.items() if _broke(task)]
        return f"the {' and the '.join(ended)} ended; the log says why, and a restart goes on" if ended else ""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        parts = {"dispatcher": dispatcher.run(), "sender": sender.run(), "scheduler": scheduler.run()}
        for name, work in (*parts.items(), ("runner", runner.run())):
            working[name] = asyncio.create_task(work)
            working[name].add_done_callback(_say_why)
        catching_up = asyncio.create_task(catch_up())
        yield
        tasks = [catching_up, *working.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    app = create_app(config, engine, inbox, forges, ailing)
    app.router.lifespan_context = lifespan
    return app


def _broke(task: asyncio.Task[None]) -> bool:
    """Return whether a task ended that nobody has stopped. One that has nothing to do may end by itself."""
    return task.done() and not task.cancelled() and task.exception() is not None


def _say_why(task: asyncio.Task[None]) -> None:
    if _broke(task):
        LOG.critical("a part of the service has ended", exc_info=task.exception())
