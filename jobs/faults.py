"""Exceptions of a job as failure records: whose fault, what kind, and one line for a person."""

from __future__ import annotations

import traceback
from pathlib import Path

from jobs.records import Failure, Fault
from kernel.errors import (
    CompileError,
    DeviceError,
    KernelLayerError,
    PlatformUnavailableError,
    TensorError,
    TuningError,
)
from kernel.spec import Kernel


def failure(error: Exception, kernel: Kernel, log: str = "") -> Failure:
    """`error`, raised while `kernel` was built or run, as a record; `log` is where its full text is."""
    fault, kind = _classified(error, kernel)
    message = " ".join(str(error).split()) or type(error).__name__
    if not isinstance(error, KernelLayerError):
        message = f"{type(error).__name__}: {message}"
    return Failure(fault=fault, kind=kind, message=message, log=log)


def _classified(error: Exception, kernel: Kernel) -> tuple[Fault, str]:
    if isinstance(error, CompileError):
        return Fault.KERNEL, "compile"
    if isinstance(error, TuningError):
        return Fault.KERNEL, "tuning"
    if isinstance(error, TensorError):
        return Fault.KERNEL, "tensor"
    if isinstance(error, DeviceError):
        return Fault.DEVICE, f"device-{error.code}"
    if isinstance(error, PlatformUnavailableError):
        return Fault.NODE, "platform-unavailable"
    if isinstance(error, MemoryError | OSError):
        return Fault.NODE, "host-resources"
    if _raised_by(error, kernel):
        return Fault.KERNEL, "kernel-raised"
    return Fault.FARM, "crash"


def _raised_by(error: Exception, kernel: Kernel) -> bool:
    """Whether the kernel's own code was running when `error` was raised."""
    own = {path.resolve() for path in kernel.sources()}
    return any(Path(frame.filename).resolve() in own for frame in traceback.extract_tb(error.__traceback__))
