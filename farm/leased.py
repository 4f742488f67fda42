"""The way to devices that every command takes: check the request, reach the cluster, lease, give everything back."""

from __future__ import annotations

import contextlib
import functools
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from farm import cluster, paths, preflight
from farm.budgets import Budget
from farm.lease import Lease
from farm.record import RunRequest
from farm.worker import PlatformFactory
from kernel.platforms.protocol import Platform
from kernel.registry import find_platform
from kernel.spec import Kernel


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How something is measured, as opposed to what."""

    out: Path = Path("farm-runs")
    address: str | None = None  # of a Ray cluster; None starts a local one
    wait_s: float = 0.0  # how long to wait for leased devices to come free
    trial_timeout_s: float = 900.0
    platform: PlatformFactory | None = None  # in place of the registered platform of that name
    budgets: dict[str, Budget] | None = None  # in place of the kernel's budget file


@dataclass(frozen=True, slots=True)
class Leased:
    """Leased devices, and what is to be run on them."""

    kernel: Kernel
    platform: Platform
    lease: Lease


@contextlib.contextmanager
def leased(request: RunRequest, options: RunOptions) -> Iterator[Leased]:
    """`request.devices` devices, held for the block and given back at the end of the block whatever ends it.

    Raises `UsageError`, `UnknownNameError`, `TuningError` or `PlatformUnavailableError` before anything is started or
    written, and `CapacityError` or `InfrastructureError` where no lease can be had.
    """
    kernel = preflight.check(request)
    factory = options.platform or functools.partial(find_platform, request.platform)
    platform = factory()
    preflight.require(platform)
    preflight.require_writable(options.out)
    with cluster.connected(options.address, simulated=not platform.noisy):
        lease = Lease(factory, str(paths.cache()))
        try:
            lease.acquire(request.devices, options.wait_s)
            yield Leased(kernel, platform, lease)
        finally:
            lease.release()


def new_id() -> str:
    """Sorts by time, unique without asking anybody: UTC second and 24 random bits."""
    return f"{datetime.now(timezone.utc):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def now() -> str:
    """This moment in UTC, ISO 8601 with milliseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
