"""Which devices people have for programs of their own (`farm lease`), so that everybody sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from sqlalchemy import Connection, Engine, delete, insert, select

from farm.process.identity import ProcessIdentity
from farm.store.engine import transaction
from farm.store.tables import LEASE
from farm.timestamps import moment, utc_now

# A lease is over at its time; giving everything back takes seconds, and clocks of two machines differ by a little.
_GRACE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class PersonLease:
    """Devices that a person has."""

    id: str
    platform: str
    devices: tuple[str, ...]  # ids
    who: str  # "user@host"
    program: str
    started_at: str  # ISO 8601, UTC
    until: str  # the same; earlier, where the program ends before
    owner: ProcessIdentity  # the process of `farm lease`

    def __str__(self) -> str:
        """Who has them until when, for a list of devices."""
        return f"leased by {self.who} until {self.until} for {self.program}"


def note(engine: Engine, lease: PersonLease) -> None:
    """Add `lease`, and take away those that are over. Raises `StoreError`."""
    with transaction(engine, "written", write=True) as connection:
        for other in _all(connection):
            if _over(other):
                connection.execute(delete(LEASE).where(LEASE.c.id == other.id))
        connection.execute(
            insert(LEASE).values(
                id=lease.id,
                platform=lease.platform,
                devices=json.dumps(lease.devices),
                who=lease.who,
                program=lease.program,
                started_at=lease.started_at,
                until=lease.until,
                owner=lease.owner.dump(),
            )
        )


def forget(engine: Engine, lease_id: str) -> None:
    """Take a lease away. One that is unknown is gone already. Raises `StoreError`."""
    with transaction(engine, "written", write=True) as connection:
        connection.execute(delete(LEASE).where(LEASE.c.id == lease_id))


def current(engine: Engine, platform: str | None = None) -> list[PersonLease]:
    """The leases that are not over, of one platform or of all, the first one first. Raises `StoreError`."""
    with transaction(engine, "read") as connection:
        found = _all(connection)
    return [lease for lease in found if platform in (None, lease.platform) and not _over(lease)]


def by_device(leases: Sequence[PersonLease]) -> Mapping[str, PersonLease]:
    """Device id → its lease, of the leases of one platform."""
    return MappingProxyType({device: lease for lease in leases for device in lease.devices})


def _all(connection: Connection) -> list[PersonLease]:
    return [
        PersonLease(
            id=row.id,
            platform=row.platform,
            devices=tuple(json.loads(row.devices)),
            who=row.who,
            program=row.program,
            started_at=row.started_at,
            until=row.until,
            owner=ProcessIdentity.load(row.owner),
        )
        for row in connection.execute(select(LEASE).order_by(LEASE.c.started_at, LEASE.c.id))
    ]


def _over(lease: PersonLease) -> bool:
    """Whether its process has certainly ended, or its time has: nothing outlives that."""
    return lease.owner.gone() or moment(lease.until) + _GRACE < utc_now()
