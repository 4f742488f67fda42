"""What a run will do, before it touches a device: checked requests and the list of trials."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from farm.errors import UsageError
from farm.record import RunRequest
from jobs.records import Request
from kernel.errors import UnknownNameError
from kernel.registry import find_kernel
from kernel.spec import Kernel

MAX_DEVICES = 4096
MAX_REPEATS = 1000


@dataclass(frozen=True, slots=True)
class PlannedTrial:
    """One trial to be made by whichever device holds `slot`."""

    case: str
    slot: int  # position among the leased devices
    repeat: int  # 0-based; −1 is a warm-up, whose result is dropped


@dataclass(frozen=True, slots=True)
class Plan:
    """Kernel × cases × devices × repeats."""

    requests: dict[str, Request]  # case → what to build and run
    trials: tuple[PlannedTrial, ...]

    def of_slot(self, slot: int) -> list[PlannedTrial]:
        """The trials of one device, in the order it makes them."""
        return [trial for trial in self.trials if trial.slot == slot]


def check(request: RunRequest) -> Kernel:
    """The request's kernel, once every name and value in the request is known to be good.

    Raises `UsageError`, `UnknownNameError` or `TuningError` with the one line the user needs; nothing has been started.
    """
    _within("--devices", request.devices, MAX_DEVICES)
    _within("--repeats", request.repeats, MAX_REPEATS)
    if not 0 <= request.seed < 2**63:
        raise UsageError(f"--seed {request.seed} is out of range; use 0 to 2^63 - 1")
    kernel = find_kernel(request.kernel)
    _known("case", request.cases, kernel.cases)
    _known("input set", [request.input_set], kernel.input_sets)
    for case in request.cases:
        kernel.tuning(case, request.tuning)
    return kernel


def make(request: RunRequest, warm_up: bool) -> Plan:
    """Every trial of a checked request; `warm_up` adds one discarded repeat per device and case, for noisy platforms."""
    requests = {
        case: Request(
            kernel=request.kernel,
            case=case,
            platform=request.platform,
            tuning=request.tuning,
            input_set=request.input_set,
            seed=request.seed,
        )
        for case in request.cases
    }
    first = -1 if warm_up else 0
    trials = tuple(
        PlannedTrial(case, slot, repeat)
        for slot in range(request.devices)
        for case in request.cases
        for repeat in range(first, request.repeats)
    )
    return Plan(requests, trials)


def _within(option: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise UsageError(f"{option} {value} is out of range; use 1 to {most}")


def _known(noun: str, names: Sequence[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise UnknownNameError(noun, name, list(known))
    if len(set(names)) != len(names):
        raise UsageError(f"{noun} given twice: {', '.join(names)}; name each once")
