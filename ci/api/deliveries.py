"""Deliveries of forges and their results. A payload may contain private data, so all of it is for admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel
from sqlalchemy import Row, select

from ci.api.access import ADMIN, GateHere
from ci.api.pages import Cursor, Limit, Page, Word, cursor, number_position
from ci.api.problems import ApiError
from ci.store.states import DeliveryState
from ci.store.tables import DELIVERY
from farm.store.engine import transaction

router = APIRouter(prefix="/deliveries", tags=["deliveries"], dependencies=[ADMIN])

_SHOWN = [column for column in DELIVERY.c if column.name != "body"]


class Delivered(BaseModel):
    """One delivery without its payload."""

    sequence: int
    forge: str
    id: str  # the forge's own
    event: str
    action: str
    repository: str
    received_at: str
    state: DeliveryState
    outcome: str
    attempts: int
    next_at: str


class DeliveredBody(Delivered):
    """One delivery."""

    body: str  # JSON as it came


@router.get("", summary="List deliveries")
def list_deliveries(
    gate: GateHere,
    forge: Word | None = None,
    repository: Word | None = None,
    event: Word | None = None,
    state: DeliveryState | None = None,
    limit: Limit = 50,
    after: Cursor = None,
) -> Page[Delivered]:
    """Deliveries, the newest first."""
    equal = {"forge": forge, "repository": repository, "event": event, "state": state and state.value}
    query = select(*_SHOWN).where(*(DELIVERY.c[name] == value for name, value in equal.items() if value is not None))
    if after is not None:
        query = query.where(DELIVERY.c.sequence < number_position(after))
    with transaction(gate.engine, "read") as connection:
        found = connection.execute(query.order_by(DELIVERY.c.sequence.desc()).limit(limit + 1)).all()
    shown = [Delivered.model_validate(row, from_attributes=True) for row in found[:limit]]
    return Page(items=shown, next=cursor(shown[-1].sequence) if len(found) > limit else None)


@router.get("/{forge}/{delivery_id}", summary="One delivery")
def get_delivery(
    gate: GateHere,
    forge: Annotated[str, Path(pattern="^[a-z][a-z0-9-]{0,100}$")],
    delivery_id: Annotated[str, Path(pattern="^[A-Za-z0-9._-]{1,200}$")],
) -> DeliveredBody:
    """One delivery with its payload."""
    query = select(DELIVERY).where(DELIVERY.c.forge == forge, DELIVERY.c.id == delivery_id)
    with transaction(gate.engine, "read") as connection:
        row: Row[tuple[object, ...]] | None = connection.execute(query).first()
    if row is None:
        raise ApiError(404, f"no delivery '{delivery_id}' of '{forge}'")
    return DeliveredBody.model_validate(row, from_attributes=True)
