"""Moves what is known of a card with the card: from slot to slot, and over the time in which it is in none.

A device is a slot, "node/index", for people and for Ray. Its health is that of the card in it. So when a worker finds
another card in a slot, the slot's health is changed for that card's: one that is new here starts clean, one that was
quarantined elsewhere stays so.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, insert, select, update

from farm import timestamps
from farm.model.device_health import EventKind, Health, HealthEvent
from farm.store import health_store, row_mapping
from farm.store.engine import transaction
from farm.store.tables import CARD, DEVICE, DEVICE_EVENT


def identify(engine: Engine, platform: str, device: str, identity: str) -> Health:
    """Note that the card `identity` is in the slot `device`; return how fit that card is. Durable on return."""
    with transaction(engine, "written", write=True) as connection:
        rows = _lock(connection, platform, device, identity)
        here = rows.get(device)
        if here is not None and here.identity == identity:
            return row_mapping.health(here)
        if here is None:
            seen = {"platform": platform, "id": device, "node": device.rpartition("/")[0]}
            health_store.upsert(connection, {**seen, "last_seen": timestamps.now()})
        elsewhere = next((row for row in rows.values() if row.identity == identity), None)
        found, origin = _known(connection, platform, identity, elsewhere)
        if here is not None and here.identity:
            _park(connection, here)
        elif here is not None and found is None:
            found, origin = row_mapping.health(here), device  # what is known of the slot was measured on this card
        if elsewhere is not None:
            _write(connection, platform, elsewhere.id, "", Health())
        health = found or Health()
        _write(connection, platform, device, identity, health)
        if origin != device:
            before = here.identity if here is not None else ""
            _log(connection, platform, device, identity, health, _sentence(identity, before, origin))
        return health


def _lock(connection: Connection, platform: str, device: str, identity: str) -> dict[str, Row[Any]]:
    """The rows of the slot and of the slot that has had the card so far; everyone locks in one order."""
    mine = (DEVICE.c.platform == platform) & ((DEVICE.c.id == device) | (DEVICE.c.identity == identity))
    found = connection.execute(select(DEVICE).where(mine).order_by(DEVICE.c.id).with_for_update())
    return {str(row.id): row for row in found}


def _known(
    connection: Connection, platform: str, identity: str, elsewhere: Row[Any] | None
) -> tuple[Health | None, str]:
    """What is known of the card, and the slot it was in last; None for a card that was never seen."""
    mine = (CARD.c.platform == platform, CARD.c.identity == identity)
    if elsewhere is not None:
        return row_mapping.health(elsewhere), str(elsewhere.id)
    parked = connection.execute(select(CARD).where(*mine)).first()
    if parked is None:
        return None, ""
    connection.execute(delete(CARD).where(*mine))
    return row_mapping.health(parked), str(parked.last_device)


def _park(connection: Connection, row: Row[Any]) -> None:
    """Keep what is known of a card that is in its slot no more."""
    mine = {"platform": row.platform, "identity": row.identity}
    connection.execute(delete(CARD).where(*(CARD.c[name] == value for name, value in mine.items())))
    kept = row_mapping.of_health(row_mapping.health(row))
    connection.execute(insert(CARD).values(**mine, last_device=row.id, **kept))


def _write(connection: Connection, platform: str, device: str, identity: str, health: Health) -> None:
    mine = (DEVICE.c.platform == platform, DEVICE.c.id == device)
    connection.execute(update(DEVICE).where(*mine).values(identity=identity, **row_mapping.of_health(health)))


def _log(connection: Connection, platform: str, device: str, identity: str, health: Health, reason: str) -> None:
    event = HealthEvent(device, platform, timestamps.now(), EventKind.CARD_CHANGED, reason)
    row = {**asdict(event), "kind": event.kind.value, "state": health.state.value, "identity": identity}
    connection.execute(insert(DEVICE_EVENT).values(row))


def _sentence(identity: str, before: str, origin: str) -> str:
    instead = f" in place of {before}" if before else ""
    return f"{identity}{instead}, {f'last seen in {origin}' if origin else 'never seen before'}"
