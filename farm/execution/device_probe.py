"""Probes devices on demand: each is leased for it, because Ray is the only lock, and what came of it is noted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from farm import paths
from farm.cluster import connection
from farm.cluster.head_watchdog import HeadWatchdog
from farm.errors import CapacityError, FarmError, InfrastructureError, UsageError
from farm.execution import preflight
from farm.leasing.device_lease import PlatformFactory
from farm.leasing.lease import Lease
from farm.leasing.queue_client import QueueClient
from farm.model.device_health import EventKind, Health, HealthBook, HealthEvent
from farm.model.priority import Priority
from farm.model.selection import Selection
from farm.model.timeouts import Timeouts
from farm.process.start_limit import HostOverloadedError


@dataclass(frozen=True, slots=True)
class Probed:
    """What came of one probe."""

    id: str
    healthy: bool | None  # None where it could not be probed
    detail: str  # one line

    @property
    def outcome(self) -> str:
        """In one word or two."""
        return {True: "clean", False: "failed", None: "not probed"}[self.healthy]


@dataclass(slots=True)
class _Notes:
    """A health book for one round of probes: it refuses no device, and keeps what the canaries reported."""

    book: HealthBook
    said: dict[str, Probed] = field(default_factory=dict)

    def health(self, platform: str) -> Mapping[str, Health]:
        """Nothing is known of any device, so that quarantined ones are leased as well."""
        return {}

    def identify(self, platform: str, device: str, identity: str) -> Health:
        """Note the card; a probe refuses none."""
        self.book.identify(platform, device, identity)
        return Health()

    def observe(self, events: Sequence[HealthEvent]) -> None:
        """Note the canaries, durably and here."""
        self.book.observe(events)
        for event in events:
            self.said[event.device] = Probed(event.device, event.kind is EventKind.CANARY_CLEAN, event.reason)


def probe_devices(
    factory: PlatformFactory, wanted: Sequence[str], book: HealthBook, address: str | None, wait_s: float
) -> list[Probed]:
    """Run the canary on each of the `wanted` devices, on all of the cluster's where none is named.

    A local cluster is started where `address` is None. Raises `UsageError` for a device the cluster has not, and what
    `preflight.require` and `cluster.connected` raise.
    """
    platform = factory()
    preflight.require(platform)
    preflight.build_once(platform, paths.cache())
    with connection.connected(address, simulated=not platform.noisy) as head:
        present = [f"{node.name}/{index}" for node in connection.nodes().values() for index in range(node.npus)]
        for device in wanted:
            if device not in present:
                raise UsageError(f"no device '{device}' in the cluster; `farm devices` lists them")
        devices = list(dict.fromkeys(wanted)) or present
        if not devices:
            raise InfrastructureError("the cluster has no devices to probe")
        notes = _Notes(book)
        line = QueueClient(Priority.INTERACTIVE, "probe", shared=connection.shared(address))
        _probe(devices, factory, notes, wait_s, line, head)
        return [notes.said[device] for device in devices]


def _probe(
    devices: list[str], factory: PlatformFactory, notes: _Notes, wait_s: float, line: QueueClient, head: HeadWatchdog
) -> None:
    """Lease `devices` together, which runs their canaries; those that cannot be had together, one after the other."""
    platform = factory()
    lease = Lease(
        factory,
        platform.name,
        str(paths.cache()),
        notes,
        line,
        Selection(devices=devices),
        Timeouts().environment() if platform.noisy else {},
        head,
        witnesses=False,
    )
    why: FarmError | None = None
    try:
        lease.acquire(len(devices), wait_s)
    except (CapacityError, InfrastructureError) as error:
        why = error  # one of them is in use, its worker did not start, or its canary failed, which is noted by now
    finally:
        lease.release()
    if isinstance(why, HostOverloadedError):  # each other device of that host would wait as long, one after the other
        late = [device for device in devices if device.rpartition("/")[0] == why.host]
        notes.said.update({device: Probed(device, None, str(why)) for device in late if device not in notes.said})
    missing = [device for device in devices if device not in notes.said]
    if len(devices) > 1:
        for device in missing:
            _probe([device], factory, notes, 0.0, line, head)
    elif missing:
        notes.said[missing[0]] = Probed(missing[0], None, str(why))
