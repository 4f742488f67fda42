"""The way to devices that every command takes: check the request, reach the cluster, lease, give everything back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from farm import paths
from farm.execution import preflight
from farm.execution.observer import Observer
from farm.execution.resolved_run import ResolvedRun
from farm.leasing.device_lease import DeviceLease, PlatformFactory
from farm.leasing.local_device import LocalDevice
from farm.leasing.local_lease import LocalLease
from farm.model.budgets import Budget
from farm.model.timeouts import Timeouts
from farm.store import run_writer
from farm.store.reports_only import ReportsOnly
from farm.store.run_store import Store
from farm.store.run_writer import RunWriter
from farm.text import counted


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How something is measured, as opposed to what."""

    out: Path = Path("farm-runs")
    address: str | None = None  # of a Ray cluster; None starts a local one
    wait_s: float = 0.0  # how long to wait for leased devices to come free; counts towards no timeout
    timeouts: Timeouts = field(default_factory=Timeouts)
    platform: PlatformFactory | None = None  # in place of the registered platform of that name
    budgets: dict[str, Budget] | None = None  # in place of the kernel's budget file
    run_id: str = ""  # a new id that the caller has chosen; "" makes one up
    local: LocalDevice | None = None  # in place of leased devices; such a run leaves its reports and nothing in a store


@dataclass(frozen=True, slots=True)
class Session:
    """Leased devices, what is to be run on them, and where the results are recorded."""

    resolved: ResolvedRun
    lease: DeviceLease
    store: RunWriter | ReportsOnly
    store_wait_s: float = run_writer.WAIT_S  # for a store that is away when the run has ended


@contextlib.contextmanager
def leased(
    resolved: ResolvedRun, options: SessionOptions, observer: Observer | None = None, *, witnesses: bool = True
) -> Iterator[Session]:
    """Lease as many devices as the request asks for, and give them back at the end of the block whatever ends it.

    With `witnesses` each is on a physical card of its own.

    Raises:
        UsageError: A limit or the output directory cannot be used.
        KernelLoadError: The kernel's inputs or golden are not what it promises.
        CapacityError: There are too few devices.
        InfrastructureError: No cluster answers.
    """
    request, kernel, platform = resolved.request, resolved.kernel, resolved.platform
    preparing = observer.preparing if observer is not None else preflight.to_stderr
    observer = observer or Observer()
    observer.preparing(f"checking {request.kernel}")
    options.timeouts.checked(simulated=resolved.simulated or resolved.self_validating)
    preflight.require_writable(options.out)
    if not resolved.self_validating:
        preflight.require_reference(kernel, request, paths.cache(), options.timeouts.trial_s)
        preflight.build_once(platform, paths.cache(), preparing)  # last: a mistake in the kernel is reported first
    if options.local is not None:
        observer.preparing("starting the worker")
        with LocalLease(options.local) as lease:
            yield Session(resolved, lease, ReportsOnly(), 0.0)
        return
    with _leased_through_ray(resolved, options, observer, witnesses=witnesses) as session:
        yield session


@contextlib.contextmanager
def _leased_through_ray(
    resolved: ResolvedRun, options: SessionOptions, observer: Observer, *, witnesses: bool
) -> Iterator[Session]:
    from farm.cluster import connection  # Ray, which a local run need not have
    from farm.leasing.lease import Lease
    from farm.leasing.queue_client import QueueClient
    from farm.leasing.worker import DeviceWorker

    request = resolved.request
    at = options.address
    observer.preparing(f"connecting to {at}" if at else "starting Ray on this machine")
    connected = connection.connected(options.address, simulated=resolved.simulated)
    patience_s = run_writer.wait_s()
    with Store.open(paths.store_url()) as opened, closing(RunWriter(opened)) as store, connected as head:
        lease = Lease(
            resolved.factory,
            resolved.platform.name,
            str(paths.cache()),
            store,
            QueueClient(request.priority, f"run of {request.kernel}", shared=connection.shared(options.address)),
            request.selection,
            {} if resolved.simulated or resolved.self_validating else options.timeouts.environment(),
            head,
            witnesses=witnesses,
            together=resolved.together,
            worker=resolved.worker or DeviceWorker,
            confinement=resolved.confinement,
            on_locked=observer.locked,
        )
        try:
            observer.preparing(f"leasing {counted(request.devices, 'device')}")
            lease.acquire(request.devices, options.wait_s, observer.waiting)
            yield Session(resolved, lease, store, patience_s)
        finally:
            lease.release()
