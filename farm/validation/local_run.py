"""A run on one device of this machine, for the person who writes the kernel: once, or again at each save.

It takes the way of every run (`farm.validation.workflow`); the device is not leased, and every kernel, the
installation's own included, is asked in a process of its own, because its files are being edited. Loads no Ray.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from farm import paths
from farm.errors import UsageError
from farm.execution import preflight
from farm.execution.observer import Observer
from farm.execution.session import SessionOptions
from farm.leasing.local_device import LocalDevice
from farm.model.run import RunRecord, RunRequest
from farm.validation import workflow
from jobs.kernel_process.described import DescribedKernel
from jobs.kernel_process.description import LOAD_S, require_files
from jobs.kernel_process.messages import KernelQuestion, Question
from kernel import file_kernels
from kernel.errors import KernelLoadError
from kernel.registry import find_platform, kernel_entry
from kernel.spec import Kernel

_WATCHED = ("*.py", "*.toml")


@dataclass(frozen=True, slots=True)
class LocalRun:
    """What is to be run on `options.local`."""

    kernel: str  # its name, or its file
    request: Callable[[Kernel], RunRequest]  # of the kernel as it is now
    options: SessionOptions

    def once(self, observer: Observer | None = None) -> tuple[RunRecord, tuple[Path, ...]]:
        """Run the kernel as its files are now; return the record, and the files that it names as its own.

        Raises what `workflow.resolve` and `workflow.run` raise.
        """
        found = describe(self.kernel, self._device)
        resolved = workflow.resolve(self.request(found), self.options, found)
        return workflow.run(resolved, self.options, observer), found.sources()

    def forget(self, changed: Iterable[Path]) -> None:
        """Let no process go on with a version of these files that it has loaded."""
        self._device.forget(changed)

    @property
    def _device(self) -> LocalDevice:
        assert self.options.local is not None, "a local run has a local device"
        return self.options.local


def open_device(platform: str, *, again: bool) -> LocalDevice:
    """Return the device on which local runs on `platform` take place, not started yet.

    Raises `UsageError` for a platform whose devices only a lease gives, `UnknownNameError`, and
    `PlatformUnavailableError` where something is missing here.
    """
    factory = functools.partial(find_platform, platform)
    made = factory()
    if made.noisy:
        raise UsageError(
            f"--local is for simulated platforms, and the devices of {platform} are leased; leave out --local"
        )
    preflight.require(made)
    preflight.build_once(made, paths.cache())
    return LocalDevice(factory, made, paths.cache(), again=again)


def describe(name: str, device: LocalDevice) -> DescribedKernel:
    """Return the kernel `name` as its files are now. Raises `UnknownNameError`, `KernelLoadError`."""
    if not file_kernels.is_path(name):
        kernel_entry(name)
    elif not file_kernels.file_of(name).is_file():
        raise KernelLoadError(
            name, f"there is no file {file_kernels.file_of(name)}", "name one as path/to/mine.py:KERNEL"
        )
    asked = file_kernels.absolute(name)
    question = KernelQuestion(question=Question.DESCRIBE, kernel=asked, path=[], answer="")
    record = device.ask(question, LOAD_S).kernel
    assert record is not None, "a kernel that was described without a problem"
    require_files(record)
    return DescribedKernel(asked, record, device.ask)


def watched_files(name: str, sources: Iterable[Path]) -> set[Path]:
    """Return the files whose save is to run the kernel `name` again.

    Args:
        name: The kernel's name, or its file.
        sources: The files that it named as its own when it could last be loaded.

    Returns:
        Its sources and the TOML files beside the first of them (budgets, tunings), and of a package all such files.
    """
    found = {Path(source).resolve() for source in sources}
    if file_kernels.is_path(name):
        found.add(file_kernels.file_of(name))
    for directory in {path.parent for path in found}:
        if (directory / "__init__.py").is_file():
            found.update(path for pattern in _WATCHED for path in directory.rglob(pattern))
        else:
            found.update(directory.glob("*.toml"))
    return found
