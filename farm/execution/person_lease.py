"""Devices for a program that is none of the farm's: leased through the same queue as those of runs, shown to all."""

from __future__ import annotations

import contextlib
import getpass
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from farm import paths
from farm.cluster import connection, ray_internals
from farm.errors import UsageError
from farm.execution import preflight
from farm.leasing.device_lease import PlatformFactory, Waiting
from farm.leasing.lease import Lease
from farm.leasing.placement import Locked
from farm.leasing.queue_client import QueueClient
from farm.model.priority import Priority
from farm.model.selection import Selection
from farm.model.timeouts import Timeouts
from farm.process import identity
from farm.store import lease_book
from farm.store.engine import StoreError
from farm.store.lease_book import PersonLease
from farm.store.run_store import Store
from farm.timestamps import as_text, utc_now

VISIBLE = "ASCEND_RT_VISIBLE_DEVICES"
_OF_THE_QUEUE = "TASK_DEVICE"  # what programs read that `task-submit` starts
_LOCKED = "NPU_LOCKED_DEVICE"  # what keeps `npu-lock` from waiting for a lock that is held for it


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """What a person asks for."""

    devices: int
    seconds: float
    program: str  # its name, for everybody to see
    wait_s: float = 0.0
    priority: Priority = Priority.INTERACTIVE
    wanted: tuple[str, ...] = ()  # device ids; empty for any of this machine
    apart: bool = False  # each on a physical card of its own
    simulated: bool | None = None  # whether they are this machine's cores; None: as the platform says


@dataclass(frozen=True, slots=True)
class Held:
    """Devices that are held for a program."""

    entry: PersonLease
    indices: tuple[int, ...]  # physical, on this machine
    locked: bool  # their locks are held too
    check: Callable[[], None]  # raises `HeadLostError` where they may be somebody else's by now

    def environment(self, own: Mapping[str, str], *, renumbered: bool = True) -> dict[str, str]:
        """Return `own` and the variables that name a program's devices.

        `renumbered` shows it these devices alone, as 0, 1, …; otherwise it sees all by their physical indices.
        """
        ids = ",".join(map(str, self.indices))
        found = {name: value for name, value in own.items() if name not in (VISIBLE, _LOCKED)}
        found[_OF_THE_QUEUE] = ids
        if renumbered:
            found[VISIBLE] = ids
        if self.locked:
            found[_LOCKED] = ids
        return found


@contextlib.contextmanager
def leased(
    factory: PlatformFactory,
    request: LeaseRequest,
    address: str | None,
    preparing: Callable[[str], None],
    on_wait: Waiting,
    on_locked: Locked,
) -> Iterator[Held]:
    """Hold devices of this machine for as long as the block lasts, and show that everywhere.

    Raises `UsageError`, `CapacityError` and `InfrastructureError`.
    """
    platform = factory()
    preflight.require(platform)
    preflight.build_once(platform, paths.cache(), preparing)
    preparing(f"connecting to {address}" if address else "starting Ray on this machine")
    simulated = not platform.noisy if request.simulated is None else request.simulated
    connected = connection.connected(address, simulated=simulated)
    with Store.open(paths.store_url()) as store, connected as head:
        lease = Lease(
            factory,
            platform.name,
            str(paths.cache()),
            store,
            QueueClient(request.priority, f"lease for {request.program}", shared=connection.shared(address)),
            _here(request.wanted, address),
            {} if simulated else Timeouts().environment(),
            head,
            witnesses=request.apart,
            on_locked=on_locked,
        )
        try:
            preparing(f"leasing {request.devices} of this machine's devices")
            lease.acquire(request.devices, request.wait_s, on_wait)
            locked = lease.hand_over()
            devices = [lease.device(slot) for slot in lease.slots]
            entry = _entry(platform.name, [device.id for device in devices], request)
            lease_book.note(store.engine, entry)
            try:
                yield Held(entry, tuple(device.index for device in devices), locked, lease.require_head)
            finally:
                with contextlib.suppress(StoreError):  # then it is shown until this process has ended
                    lease_book.forget(store.engine, entry.id)
        finally:
            lease.release()


def _here(wanted: Sequence[str], address: str | None) -> Selection:
    """The devices of this machine: a program runs beside its devices. Raises `UsageError`."""
    ours = ray_internals.nodes_on_this_machine()
    nodes = [node for node in connection.nodes().values() if node.id in ours and node.npus]
    if not nodes:
        raise UsageError(f"this machine has no devices in the cluster at {address or 'local'}; lease on one that has")
    names = [node.name for node in nodes]
    for device in wanted:
        if device.rpartition("/")[0] not in names:
            raise UsageError(f"device '{device}' is not of this machine, whose nodes are {', '.join(names)}")
    return Selection(nodes=names, devices=list(wanted))


def _entry(platform: str, devices: Sequence[str], request: LeaseRequest) -> PersonLease:
    begin = utc_now()
    return PersonLease(
        id=f"lease-{secrets.token_hex(6)}",
        platform=platform,
        devices=tuple(devices),
        who=f"{getpass.getuser()}@{socket.gethostname()}",
        program=Path(request.program).name,
        started_at=as_text(begin),
        until=as_text(begin + timedelta(seconds=request.seconds)),
        owner=identity.current(),
    )
