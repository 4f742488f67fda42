"""One look at the farm: runs that go on, devices and who holds them, who waits."""

from __future__ import annotations

from dataclasses import dataclass

from farm.leasing.device_queue import QueueEntry
from farm.monitor.active_runs import ActiveRun, going
from farm.store import lease_book
from farm.store.lease_book import PersonLease
from farm.store.run_store import Store
from farm.text import counting_order
from farm.timestamps import utc_now


@dataclass(frozen=True, slots=True)
class DeviceLook:
    """One device, and the run that holds it."""

    id: str
    state: str  # "healthy", "suspect", "quarantined"; "" where the store has not seen it yet
    run_id: str  # "" where no run of this store holds it
    lease: str = ""  # who has it for a program of their own until when, as the store knows; "" where nobody has


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The farm at one moment."""

    at: str  # UTC, to the second
    address: str | None  # of the cluster that was asked, None where none was
    free: int | None  # devices of it that nobody holds
    runs: tuple[ActiveRun, ...]  # those without a verdict, the one started first at the front
    devices: tuple[DeviceLook, ...]
    waiting: tuple[QueueEntry, ...]  # first in line first
    leases: tuple[PersonLease, ...] = ()  # of people


def take(store: Store, platform: str, address: str | None) -> Snapshot:
    """What is to be seen now. `address` names the connected cluster; None: only the store is asked."""
    store.settle()
    runs = tuple(going(store.engine))
    holders = {device.id: active.record.run_id for active in runs for device in active.devices}
    leases = tuple(lease_book.current(store.engine, platform))
    lent = lease_book.by_device(leases)
    present = list(dict.fromkeys([*holders, *lent]))
    free: int | None = None
    waiting: tuple[QueueEntry, ...] = ()
    if address is not None:
        from farm.cluster import connection  # Ray, a second to import
        from farm.leasing import queue_client

        present = [f"{node.name}/{index}" for node in connection.nodes().values() for index in range(node.npus)]
        free, waiting = connection.free_count(), tuple(queue_client.waiting())
    health = store.health(platform)
    return Snapshot(
        at=utc_now().strftime("%Y-%m-%d %H:%M:%S UTC"),
        address=address,
        free=free,
        runs=runs,
        devices=tuple(
            DeviceLook(
                name,
                health[name].state.value if name in health else "",
                holders.get(name, ""),
                str(lent[name]) if name in lent else "",
            )
            for name in sorted(present, key=counting_order)
        ),
        waiting=waiting,
        leases=leases,
    )
