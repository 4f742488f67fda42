"""What can go wrong in the kernel layer, one type per thing a caller may want to tell apart.

Every message is one line: what is wrong, which value, what to do. The command line prints it as it is.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown(noun: str, name: str, known: Iterable[str]) -> str:
    """Say that no `noun` is called `name`: the nearest known name where one is near, and all that are known."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"unknown {noun} '{name}'; {hint}known: {', '.join(names) or 'none'}"


def words_of(error: BaseException) -> str:
    """Return what `error` says, on one line; its type where it says nothing or cannot be printed.

    The exception may be foreign: its `__str__` may raise, or end the process.
    """
    try:
        return " ".join(str(error).split()) or type(error).__name__
    except (Exception, SystemExit, RecursionError):  # noqa: BLE001  # the message is lost, the failure must not be
        return f"{type(error).__name__} (its message cannot be printed)"


class KernelLayerError(Exception):
    """Root of every error this layer raises on purpose."""


class UnknownNameError(KernelLayerError):
    """A kernel, case, platform, input set or output was asked for by a name nobody registered."""

    def __init__(self, noun: str, name: str, known: list[str]) -> None:
        self.noun = noun
        self.name = name
        self.known = known
        super().__init__(unknown(noun, name, known))

    def __reduce__(self) -> tuple[type, tuple[str, str, list[str]]]:
        return (type(self), (self.noun, self.name, self.known))


class KernelLoadError(KernelLayerError):
    """A kernel cannot be used at all: its module does not import, or what it brings is not what a kernel promises."""

    def __init__(self, name: str, problem: str, remedy: str) -> None:
        self.name = name
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"kernel {name}: {problem}; {remedy}")

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return (type(self), (self.name, self.problem, self.remedy))


class KernelContractError(KernelLoadError):
    """What a kernel computes about itself (inputs, golden) is not what a kernel promises. Its own fault anywhere."""


class TuningError(KernelLayerError):
    """A tuning key is unknown, its value unreadable, or the combination breaks a guard."""


class GuardError(TuningError):
    """A tiling does not divide what it groups, or does not fit a core's buffer."""

    def __init__(self, guard: str, whole: int, part: int, remedy: str) -> None:
        self.guard = guard
        self.whole = whole
        self.part = part
        super().__init__(f"guard {guard}: {whole} and {part} do not fit together; {remedy}")


class TensorError(KernelLayerError):
    """A tensor handed in has the wrong name, shape or dtype, or holds NaN or Inf."""


class ToleranceError(KernelLayerError):
    """A tolerance is not one: its share is outside 0 to 1, or a bound is negative or not finite."""


class PlatformUnavailableError(KernelLayerError):
    """The platform cannot run here: a package, a tool or a device is missing."""

    def __init__(self, platform: str, reason: str, remedy: str) -> None:
        self.platform = platform
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"platform {platform} cannot run here: {reason}; {remedy}")


class CompileError(KernelLayerError):
    """The kernel does not compile. The kernel's fault; `code` is the compiler's own error code."""

    def __init__(self, code: str, operation: str, summary: str) -> None:
        self.code = code
        self.operation = operation
        self.summary = summary
        where = f" in {operation}" if operation else ""
        super().__init__(f"compile error {code}{where}: {summary}")

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return (type(self), (self.code, self.operation, self.summary))


class UnwrittenOutputError(KernelLayerError):
    """The kernel left part of an output as it was, so the outputs are not an answer. The kernel's fault."""


class NotATimeError(KernelLayerError):
    """The measured value is not a time: NaN, infinite, zero, negative, of no rounds, or outside of its own extremes."""


class DeviceError(KernelLayerError):
    """The device or its runtime failed, not the kernel's arithmetic. `code` is the runtime's error code.

    The error raised is the last of a row: `printed` is what the platform printed until then, in which the first stands.
    """

    def __init__(self, code: str, summary: str, printed: str = "") -> None:
        self.code = code
        self.summary = summary
        self.printed = printed
        super().__init__(f"device error {code}: {summary}")

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return (type(self), (self.code, self.summary, self.printed))


class HarnessError(KernelLayerError):
    """An external harness did not measure its kernel. `kind` is that of the farm's table of faults."""

    def __init__(self, kind: str, summary: str, printed: str = "") -> None:
        self.kind = kind
        self.summary = summary
        self.printed = printed  # what the harness printed until then, in which an earlier fault may stand
        super().__init__(summary)

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return (type(self), (self.kind, self.summary, self.printed))
