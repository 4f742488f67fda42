"""Finds kernels and platforms by name through entry points, so that neither needs an edit here to exist.

Groups: `farm.kernels` (objects of `kernel.spec.Kernel`) and `farm.platforms` (classes of
`kernel.platforms.protocol.Platform`, called without arguments).
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from kernel.errors import TuningError, UnknownNameError

if TYPE_CHECKING:
    from kernel.platforms.protocol import Platform
    from kernel.spec import Kernel, TunableKernel

KERNELS = "farm.kernels"
PLATFORMS = "farm.platforms"


def _named(group: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}


def kernel_names() -> list[str]:
    """Names of every installed kernel, sorted."""
    return sorted(_named(KERNELS))


def platform_names() -> list[str]:
    """Names of every installed platform, sorted."""
    return sorted(_named(PLATFORMS))


def find_kernel(name: str) -> Kernel:
    """The kernel registered as `name`. Raises `UnknownNameError`."""
    found = _named(KERNELS)
    if name not in found:
        raise UnknownNameError("kernel", name, list(found))
    kernel: Kernel = found[name].load()
    return kernel


def find_tunable(name: str) -> TunableKernel:
    """The kernel registered as `name`, which must declare a tuning space. Raises `UnknownNameError`, `TuningError`."""
    from kernel.spec import TunableKernel

    kernel = find_kernel(name)
    if not isinstance(kernel, TunableKernel):
        raise TuningError(f"kernel '{name}' declares no tuning space; it needs untuned(), steps() and tuning_space()")
    return kernel


def find_platform(name: str) -> Platform:
    """A fresh platform registered as `name`. Raises `UnknownNameError`."""
    found = _named(PLATFORMS)
    if name not in found:
        raise UnknownNameError("platform", name, list(found))
    platform: Platform = found[name].load()()
    return platform
