"""Acts on deliveries, one after the other: what each asks for is done in one transaction with the note that it is done.

So a delivery is acted on once, whenever the process dies: before that transaction nothing has happened, after it
everything has. What has to be asked of the forge first is asked before it begins.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping

from sqlalchemy import Engine, Row, select, update

from ci.config.repository import RepositorySection
from ci.config.settings import Config
from ci.errors import ForgeRefusedError, ForgeUnavailableError
from ci.forge.protocol import Forge
from ci.outbox.backoff import delay_s
from ci.outbox.waiting import within
from ci.queue.job_queue import Queue
from ci.store.states import DeliveryState
from ci.store.tables import DELIVERY
from ci.webhook.actions import Action, action
from ci.webhook.asked import Nothing
from ci.webhook.events import PayloadError, intents
from farm import timestamps
from farm.errors import FarmError
from farm.store.engine import transaction

LOG = logging.getLogger(__name__)

_LOOK_AGAIN_S = 1.0
_GONE = (404, 410)  # HTTP

DeliveryRow = Row[tuple[object, ...]]


class Dispatcher:
    """Acts on the inbox's deliveries. Several processes may each have one; each delivery is acted on once."""

    def __init__(
        self, engine: Engine, config: Config, forges: Mapping[str, Forge], acted: Callable[[], None] = lambda: None
    ) -> None:
        """`acted` is called, on the event loop, after each delivery: there may be something to send or to run."""
        self._engine = engine
        self._config = config
        self._forges = forges
        self._acted = acted
        self._arrived = asyncio.Event()

    def wake(self) -> None:
        """There is something new. Call it on the event loop."""
        self._arrived.set()

    async def run(self) -> None:
        """Act until cancelled."""
        while True:
            self._arrived.clear()
            try:
                busy = await self.act_on_next()
            except FarmError as error:  # the store is away; the delivery stays as it is
                LOG.error("deliveries cannot be acted on: %s", error)
                busy = False
            if not busy:
                try:
                    await within(self._arrived.wait(), _LOOK_AGAIN_S)
                except asyncio.TimeoutError:
                    continue

    async def act_on_next(self) -> bool:
        """Act on the oldest delivery that is due; whether there was one."""
        row = await asyncio.to_thread(self._next)
        if row is None:
            return False
        try:
            await self._act(row)
        except PayloadError as error:
            LOG.error("delivery %s is not understood: %s", row.id, error)
            await asyncio.to_thread(self._note, row, {"state": DeliveryState.FAILED.value, "outcome": str(error)})
        except ForgeUnavailableError as error:
            await self._postpone(row, error)
        except ForgeRefusedError as error:
            await self._close(row, error)
        self._acted()
        return True

    async def _act(self, row: DeliveryRow) -> None:
        found = await asyncio.to_thread(intents, str(row.event), str(row.body))  # 25 MB take a second to read
        repository = self._config.find(str(row.forge), str(row.repository))
        if repository is None or repository.forge not in self._forges:
            reasons = [each.reason if isinstance(each, Nothing) else "not configured" for each in found]
            values = {"state": DeliveryState.DONE.value, "outcome": "; ".join(reasons)}
            return await asyncio.to_thread(self._note, row, values)
        forge = self._forges[repository.forge]
        actions = [await action(each, repository.name, forge) for each in found]
        return await asyncio.to_thread(self._apply, row, repository, actions)

    def _next(self) -> DeliveryRow | None:
        due = (
            DELIVERY.c.state == DeliveryState.RECEIVED.value,
            DELIVERY.c.next_at <= timestamps.as_text(timestamps.utc_now()),
        )
        with transaction(self._engine, "read") as connection:
            return connection.execute(select(DELIVERY).where(*due).order_by(DELIVERY.c.sequence).limit(1)).first()

    def _apply(self, row: DeliveryRow, repository: RepositorySection, actions: list[Action]) -> None:
        mine = (DELIVERY.c.sequence == row.sequence, DELIVERY.c.state == DeliveryState.RECEIVED.value)
        with transaction(self._engine, "written", write=True) as connection:
            done = update(DELIVERY).where(*mine).values(state=DeliveryState.DONE.value)
            if not connection.execute(done).rowcount:
                return  # another process was faster
            queue = Queue(connection, self._config, repository)
            outcome = "; ".join(act(queue) for act in actions)
            connection.execute(update(DELIVERY).where(DELIVERY.c.sequence == row.sequence).values(outcome=outcome))
        LOG.info("delivery %s, %s %s of %s: %s", row.id, row.event, row.action, row.repository, outcome)

    async def _postpone(self, row: DeliveryRow, error: ForgeUnavailableError) -> None:
        attempts = int(str(row.attempts)) + 1
        wait_s = delay_s(attempts, error.retry_after_s, random.random())
        LOG.warning("delivery %s waits %.0f s for the forge: %s", row.id, wait_s, error)
        values = {
            "attempts": attempts,
            "next_at": timestamps.later(timestamps.utc_now(), wait_s),
            "outcome": str(error),
        }
        await asyncio.to_thread(self._note, row, values)

    async def _close(self, row: DeliveryRow, error: ForgeRefusedError) -> None:
        """Asked again, the forge would say the same: the pull request, the repository or the person is gone."""
        why = "the forge knows nothing of it any more" if error.status in _GONE else "the forge refuses what it takes"
        outcome = f"nothing was done: {why}: {error}"
        LOG.warning("delivery %s, %s %s of %s: %s", row.id, row.event, row.action, row.repository, outcome)
        await asyncio.to_thread(self._note, row, {"state": DeliveryState.DONE.value, "outcome": outcome})

    def _note(self, row: DeliveryRow, values: Mapping[str, object]) -> None:
        with transaction(self._engine, "written", write=True) as connection:
            connection.execute(update(DELIVERY).where(DELIVERY.c.sequence == row.sequence).values(values))
