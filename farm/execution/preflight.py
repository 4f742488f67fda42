"""Everything that can be wrong with a request, found before anything is started or written."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from farm.errors import FarmError, UsageError
from farm.model.budgets import Budget, load_budget, load_budgets, require_known
from farm.model.run import RunRequest
from jobs.kernel_process.described import DescribedKernel, kernel_of
from kernel.errors import KernelLayerError, KernelLoadError, PlatformUnavailableError, UnknownNameError
from kernel.platforms.protocol import BuiltOnce, Platform
from kernel.registry import clock_of, platform_names
from kernel.spec import Kernel

MAX_DEVICES = 4096
MAX_REPEATS = 1000


def check(request: RunRequest, kernel: Kernel | None = None) -> Kernel:
    """The request's kernel, once every name and value in the request is known to be good.

    `kernel` is that kernel, where it is loaded already.

    Raises `UsageError`, `UnknownNameError` or `TuningError` with the one line the user needs; nothing has been started.
    """
    amounts(request)
    kernel = kernel or kernel_of(request.kernel)
    _known("case", request.cases, kernel.cases)
    _known("input set", [request.input_set], kernel.input_sets)
    if request.source is None:  # the knobs of another program are known to that program alone
        for case in request.cases:
            with answering(kernel, f"tuning() of case '{case}'"):
                kernel.tuning(case, request.tuning)
    return kernel


def require_reference(kernel: Kernel, request: RunRequest, cache: Path, limit_s: float) -> None:
    """Raise `KernelLoadError` unless the kernel's inputs and golden are what it promises, for every case.

    They are left in `cache`, where the workers of this machine find them, and no device waits for it. Those of a kernel
    that is not the installation's own are computed in a process of its own, within `limit_s` a case. Where the program
    is a commit's, inputs that do not depend on the seed are refused: the program would know them.
    """
    from jobs import reference

    seeded = request.source is not None
    for case in request.cases:
        with answering(kernel, f"its specs, inputs() or golden() of case '{case}'"):
            if bare := [spec.name for spec in kernel.output_specs(case) if spec.name not in kernel.tolerances]:
                raise KernelLoadError(kernel.name, f"its tolerances lack {', '.join(bare)}", "give every output one")
            if not any(math.prod(spec.shape) for spec in kernel.output_specs(case)):
                problem = f"its outputs of case '{case}' have no elements, so nothing could be compared"
                raise KernelLoadError(kernel.name, problem, "give it an output that has some")
            if isinstance(kernel, DescribedKernel):
                kernel.compute_reference(case, request.input_set, request.seed, cache, limit_s, seeded=seeded)
                continue
            reference.reference(kernel, case, request.input_set, request.seed, cache)
            if seeded:
                reference.require_seeded(kernel, case, request.input_set, request.seed)


@contextmanager
def answering(kernel: Kernel, what: str) -> Iterator[None]:
    """Within it, whatever the kernel's own code raises becomes a `KernelLoadError` that says that `what` failed."""
    from jobs.faults import diagnosis
    from kernel.file_kernels import last_line

    try:
        yield
    except (FarmError, KernelLayerError):
        raise
    except (Exception, SystemExit) as error:  # a kernel is foreign code
        if isinstance(error, OSError) and not isinstance(error, diagnosis.OWN_FILES):
            raise  # the machine's: a full disk, no file descriptor left
        problem = f"{what} failed: {last_line(error, kernel.sources()[0].parent)}"
        raise KernelLoadError(kernel.name, problem, "correct it") from error


def amounts(request: RunRequest) -> None:
    """Raise `UsageError` where a number in the request is out of range."""
    _within("--devices", request.devices, MAX_DEVICES)
    _within("--repeats", request.repeats, MAX_REPEATS)
    if not 0 <= request.seed < 2**63:
        raise UsageError(f"--seed {request.seed} is out of range; use 0 to 2^63 - 1")


def require(platform: Platform) -> None:
    """Raise `PlatformUnavailableError` naming the first thing `platform` misses here, if it misses any."""
    missing = platform.missing()
    if missing:
        first = missing[0]
        more = f" (and {len(missing) - 1} more, see `farm doctor`)" if len(missing) > 1 else ""
        raise PlatformUnavailableError(platform.name, f"{first.what} is missing{more}: {first.why}", first.remedy)


def require_budgets(kernel: Kernel, *platforms: str) -> int:
    """Raise `BudgetError` unless every entry of the kernel's budget file is valid; return how many there are.

    `platforms` are known besides the installed ones.
    """
    path = kernel.budgets()
    require_known(path, kernel.cases, {*platform_names(), *platforms}, clock_of)
    return len(load_budgets(path))


def to_stderr(what: str) -> None:
    """Say what is under way where nobody draws the progress."""
    print(f"farm: {what}", file=sys.stderr, flush=True)


def build_once(platform: Platform, cache: Path, preparing: Callable[[str], None] = to_stderr) -> None:
    """Build what is built once on a machine, before any device is leased: no device's limit counts its minutes.

    `preparing` is called with what is built. Raises `PlatformUnavailableError`.
    """
    if isinstance(platform, BuiltOnce) and (what := platform.unbuilt(cache)):
        preparing(f"building {what}, once on this machine; it takes a minute or more")
        platform.build_once(cache)


def budgets(kernel: Kernel, request: RunRequest) -> dict[str, Budget]:
    """The budget of each case that has one on the request's platform. Raises `BudgetError`."""
    require_budgets(kernel, request.platform)
    found = {case: load_budget(kernel.budgets(), request.platform, case) for case in request.cases}
    return {case: budget for case, budget in found.items() if budget is not None}


def require_writable(out: Path) -> None:
    """Raise `UsageError` unless a run's directory could be made below `out`; leaves nothing behind."""
    parent = out.resolve()
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise UsageError(f"--out {out} cannot be written; name a directory you may write to")


def _within(option: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise UsageError(f"{option} {value} is out of range; use 1 to {most}")


def _known(noun: str, names: Sequence[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise UnknownNameError(noun, name, list(known))
    if len(set(names)) != len(names):
        raise UsageError(f"{noun} given twice: {', '.join(names)}; name each once")
