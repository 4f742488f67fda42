"""Finds kernels and platforms by name through entry points, so that neither needs an edit here to exist.

Groups: `farm.kernels` (objects of `kernel.spec.Kernel`) and `farm.platforms` (classes of
`kernel.platforms.protocol.Platform`, called without arguments). A kernel may also be named by its file, as
`path/to/mine.py:KERNEL`; see `kernel.file_kernels`.
"""

from __future__ import annotations

import functools
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from kernel import file_kernels
from kernel.errors import KernelLoadError, TuningError, UnknownNameError

if TYPE_CHECKING:
    from kernel.clock import Clock
    from kernel.platforms.protocol import Platform
    from kernel.spec import Kernel, TunableKernel

KERNELS = "farm.kernels"
PLATFORMS = "farm.platforms"


def _named(group: str) -> dict[str, EntryPoint]:
    return _found(group, tuple(sys.path))


@functools.lru_cache(maxsize=32)
def _found(group: str, path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """Looked for once for each `path`: it reads the metadata of every installed package."""
    return {entry.name: entry for entry in entry_points(group=group)}


def kernel_names() -> list[str]:
    """Names of every installed kernel, sorted."""
    return sorted(_named(KERNELS))


def platform_names() -> list[str]:
    """Names of every installed platform, sorted."""
    return sorted(_named(PLATFORMS))


def find_kernel(name: str) -> Kernel:
    """The kernel registered as `name`, or in the file it names.

    Raises `UnknownNameError`, and `KernelLoadError` where it cannot be imported or lacks what a kernel must have.
    """
    from kernel.validation import checked, require_source

    if file_kernels.is_path(name):
        kernel = checked(name, file_kernels.load(name))
        require_source(name, kernel, Path(file_kernels.absolute(name).rpartition(":")[0]))
        return kernel
    found = _named(KERNELS)
    if name not in found:
        raise UnknownNameError("kernel", name, list(found))
    return checked(name, _loaded(found[name]))


def _loaded(entry: EntryPoint) -> object:
    try:
        return entry.load()
    except (Exception, SystemExit) as error:
        problem = f"the import of {entry.value} fails: {file_kernels.last_line(error, Path('/'))}"
        raise KernelLoadError(entry.name, problem, "mend or uninstall its package") from error


def kernel_entry(name: str) -> str:
    """Where the kernel registered as `name` is: "module:attribute". Raises `UnknownNameError`."""
    found = _named(KERNELS)
    if name not in found:
        raise UnknownNameError("kernel", name, list(found))
    return found[name].value


def name_of(kernel: Kernel) -> str:
    """Return the name by which every process finds `kernel`: that of an installed one, else its file and attribute.

    Raises `KernelLoadError` for one that is in no file, such as a kernel defined in a cell of a notebook.
    """
    for name, entry in _named(KERNELS).items():
        module = sys.modules.get(entry.module)
        if module is not None and vars(module).get(entry.attr) is kernel:
            return name
    own = sys.modules.get(type(kernel).__module__)
    for module in (own, *list(sys.modules.values())):
        file = getattr(module, "__file__", None) or ""
        attributes = vars(module) if module is not None and file.endswith(".py") else {}
        for attribute, value in list(attributes.items()):
            if value is kernel:
                return file_kernels.absolute(f"{file}:{attribute}")
    problem = "this object is in no file, and the processes that run it cannot find it"
    raise KernelLoadError(type(kernel).__name__, problem, "write it to a file, import it from there and pass it again")


def find_tunable(name: str) -> TunableKernel:
    """The kernel registered as `name`, which must declare a tuning space. Raises `UnknownNameError`, `TuningError`."""
    from kernel.spec import TunableKernel

    kernel = find_kernel(name)
    if not isinstance(kernel, TunableKernel):
        raise TuningError(f"kernel '{name}' declares no tuning space; derive it from kernel.tuned.TunedKernel")
    return kernel


def find_platform(name: str) -> Platform:
    """A fresh platform registered as `name`. Raises `UnknownNameError`."""
    found = _named(PLATFORMS)
    if name not in found:
        raise UnknownNameError("platform", name, list(found))
    platform: Platform = found[name].load()()
    return platform


def clock_of(name: str) -> Clock:
    """The clock of the platform registered as `name`. Raises `UnknownNameError`."""
    return find_platform(name).clock
