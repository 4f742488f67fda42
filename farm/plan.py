"""What a run will do, before it touches a device: kernel × cases × devices × repeats as a list of trials."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from farm.record import RunRequest
from jobs.records import Request


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

    def by_slot(self) -> dict[int, list[PlannedTrial]]:
        """The trials of each device, in the order it makes them."""
        slots: dict[int, list[PlannedTrial]] = defaultdict(list)
        for trial in self.trials:
            slots[trial.slot].append(trial)
        return slots


def make(request: RunRequest, warm_up: bool) -> Plan:
    """Every trial of a checked request; `warm_up` adds one discarded repeat per device and case."""
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
