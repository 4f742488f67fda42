"""The whole service: the application, and beside it what acts on deliveries and what tells the forge."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from fastapi import FastAPI
from sqlalchemy import Engine

from ci.app import create_app
from ci.config import Config
from ci.dispatch import Dispatcher
from ci.forge.protocol import Forge
from ci.notify.open import open_channels
from ci.recovery import recover
from ci.scheduler import Scheduler
from ci.sender import Sender
from ci.webhook.inbox import Inbox


def create_service(config: Config, engine: Engine, forges: Mapping[str, Forge]) -> FastAPI:
    """The application that `uvicorn` serves. It works from its start-up to its shut-down; the engine is the caller's.

    Deliveries are taken in from the first moment, while what was missed is still being asked for.
    """
    sender = Sender(engine, forges, open_channels(config))
    dispatcher = Dispatcher(engine, config, forges, acted=sender.wake)
    scheduler = Scheduler(engine, config, forges, queued=sender.wake)
    inbox = Inbox(engine, arrived=dispatcher.wake)

    async def catch_up() -> None:
        await recover(engine, config, forges)
        sender.wake()

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(work) for work in (dispatcher.run(), sender.run(), scheduler.run(), catch_up())]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    app = create_app(config, engine, inbox)
    app.router.lifespan_context = lifespan
    return app
