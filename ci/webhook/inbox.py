"""Where deliveries are kept from the moment they are acknowledged until they are acted on.

A delivery is on disk before its sender gets an answer. A commit costs a flush of the disk, whatever is in it, so
deliveries that arrive while one commit runs share the next. So the rate is not bound to the disk's, and the event loop
never waits.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection, Engine, Executable, update
from sqlalchemy.dialects import postgresql, sqlite

from ci.store.states import DeliveryState
from ci.store.tables import DELIVERY
from ci.webhook.intake import Delivery
from farm import timestamps
from farm.store.engine import transaction

# Made once: to build the statement takes longer than to execute it.
_INSERTS: Mapping[str, Executable] = {
    name: dialect.insert(DELIVERY).on_conflict_do_nothing(index_elements=["forge", "id"]).returning(DELIVERY.c.sequence)
    for name, dialect in (("postgresql", postgresql), ("sqlite", sqlite))
}


class Receipt(str, enum.Enum):
    """The result of the intake of a delivery."""

    ACCEPTED = "accepted"
    REPLAYED = "replayed"  # it is here already; nothing happens a second time
    RETRIED = "retried"  # it is here, but could not be understood then; it is tried again


class Inbox:
    """Takes deliveries in. All calls of `put` must come from one event loop."""

    def __init__(self, engine: Engine, arrived: Callable[[], None] = lambda: None) -> None:
        """`arrived` is called, on the event loop, whenever there is something new to act on."""
        self._engine = engine
        self._arrived = arrived
        self._waiting: list[tuple[Delivery, asyncio.Future[Receipt]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def put(self, delivery: Delivery) -> Receipt:
        """Take one delivery in. Durable on return. Raises `StoreError`."""
        receipt = asyncio.get_running_loop().create_future()
        self._waiting.append((delivery, receipt))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return await asyncio.shield(receipt)  # one sender that hangs up must not disturb the others' commit

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                receipts = await asyncio.to_thread(self.add, [delivery for delivery, _ in batch])
            except Exception as error:  # noqa: BLE001 - not swallowed: each sender waits for its answer and gets this one
                for _, waiting in batch:
                    waiting.set_exception(error)
                    waiting.exception()  # seen here, in case its sender has hung up
                continue
            for (_, waiting), receipt in zip(batch, receipts, strict=True):
                waiting.set_result(receipt)
            if any(receipt is not Receipt.REPLAYED for receipt in receipts):
                self._arrived()

    def add(self, deliveries: Sequence[Delivery]) -> list[Receipt]:
        """Take deliveries in, all of them or none. Durable on return. Raises `StoreError`."""
        with transaction(self._engine, "written", write=True) as connection:
            return [_add(connection, delivery) for delivery in deliveries]


def _add(connection: Connection, delivery: Delivery) -> Receipt:
    now = timestamps.now()
    fresh = {"state": DeliveryState.RECEIVED.value, "body": delivery.body, "outcome": "", "attempts": 0, "next_at": now}
    named = {"forge": delivery.forge, "id": delivery.id, "event": delivery.event, "action": delivery.action}
    values = {**named, "repository": delivery.repository, "received_at": now, **fresh}
    # Not by the count of rows: PostgreSQL's driver does not tell it of such an insert.
    if connection.execute(_INSERTS[connection.dialect.name], values).first():
        return Receipt.ACCEPTED
    failed = (
        DELIVERY.c.forge == delivery.forge,
        DELIVERY.c.id == delivery.id,
        DELIVERY.c.state == DeliveryState.FAILED.value,
    )
    revived = connection.execute(update(DELIVERY).where(*failed).values(fresh)).rowcount
    return Receipt.RETRIED if revived else Receipt.REPLAYED
