"""A request whose names have become objects. It is made once, at the edge, and handed down."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from farm.execution import preflight
from farm.leasing.device_lease import PlatformFactory
from farm.model.budgets import Budget
from farm.model.run import RunRequest
from farm.source.programs import Programs
from jobs.sandbox.spec import Confinement
from kernel.platforms.protocol import Platform
from kernel.registry import find_platform
from kernel.spec import Kernel

if TYPE_CHECKING:
    from farm.leasing.worker import DeviceWorker


@dataclass(frozen=True, slots=True)
class ResolvedRun:
    """What a workflow runs: every name of `request` is known to be good, and nothing below looks one up again."""

    request: RunRequest
    kernel: Kernel
    factory: PlatformFactory  # makes `platform` anew in each worker
    platform: Platform  # what it needs is on this machine
    simulated: bool  # its devices are this machine's cores
    budgets: Mapping[str, Budget] = field(default_factory=dict)  # case → budget
    programs: Programs | None = None  # those of commits; None: the installed program is run
    confinement: Confinement | None = None  # of programs that are not installed
    self_validating: bool = False  # it compares its outputs and limits its devices itself, and needs no calculator
    together: bool = False  # all devices on one node
    worker: type[DeviceWorker] | None = None  # in place of the usual `DeviceWorker`


def resolve(request: RunRequest, kernel: Kernel | None = None, factory: PlatformFactory | None = None) -> ResolvedRun:
    """Return `request` with its kernel and platform.

    Args:
        request: What was asked for.
        kernel: The request's kernel, where the caller has it already.
        factory: Makes the platform, in place of the one registered under the request's name.

    Raises:
        UsageError: A number or a name in the request is wrong.
        UnknownNameError: There is no such kernel, case, input set or platform.
        KernelLoadError: The kernel cannot be used.
        TuningError: The kernel refuses the tuning.
        PlatformUnavailableError: The platform misses something on this machine.
    """
    kernel = preflight.check(request, kernel)
    factory = factory or functools.partial(find_platform, request.platform)
    platform = factory()
    preflight.require(platform)
    return ResolvedRun(request, kernel, factory, platform, simulated=not platform.noisy)
