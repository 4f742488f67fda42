"""What a run will do, before it touches a device: kernel × cases × devices × repeats as a list of trials.

A run against a base measures two programs: the head's and the base's trials of a repeat follow each other on the same
device, and who goes first changes from repeat to repeat, so that a drift of the device favours neither.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from farm.model.run import RunRequest
from jobs.records import Arm, TrialRequest


@dataclass(frozen=True, slots=True)
class PlannedTrial:
    """One trial to be made by whichever device holds `slot`."""

    case: str
    slot: int  # position among the leased devices
    repeat: int  # 0-based; −1 is a warm-up, whose time is dropped and whose outputs are judged
    arm: Arm = Arm.HEAD


@dataclass(frozen=True, slots=True)
class Sourced:
    """What a run of a commit's program adds to its requests."""

    head: str = ""  # content address of the head's tree; "" for the installed program
    base: str = ""  # the same of the base's; "" for no base
    control_seed: int | None = None  # of the inputs the program is tried on a second time; None for no such trial


@dataclass(frozen=True, slots=True)
class Plan:
    """Kernel × cases × devices × repeats."""

    requests: dict[str, TrialRequest]  # `label` → what to build and run
    trials: tuple[PlannedTrial, ...]

    def by_slot(self) -> dict[int, list[PlannedTrial]]:
        """The trials of each device, in the order it makes them."""
        slots: dict[int, list[PlannedTrial]] = defaultdict(list)
        for trial in self.trials:
            slots[trial.slot].append(trial)
        return slots

    def arms(self) -> tuple[Arm, ...]:
        """The arms that are timed against each other."""
        based = any(request.arm is Arm.BASE for request in self.requests.values())
        return (Arm.HEAD, Arm.BASE) if based else (Arm.HEAD,)


def label(case: str, arm: Arm) -> str:
    """Names one case of one arm within a run; the head's cases by the case alone."""
    return case if arm is Arm.HEAD else f"{case}-{arm.value}"


def make(request: RunRequest, warm_up: bool, sourced: Sourced | None = None) -> Plan:
    """Every trial of a checked request; `warm_up` adds one untimed repeat per device, case and arm."""
    sourced = sourced or Sourced()
    requests = {
        label(each.case, each.arm): each for case in request.cases for each in _requests(request, case, sourced)
    }
    whole = Plan(requests, ())
    first = -1 if warm_up else 0
    trials = rounds(whole.arms(), range(request.devices), request.cases, range(first, request.repeats))
    controls = tuple(
        PlannedTrial(each.case, 0, 0, Arm.CONTROL) for each in requests.values() if each.arm is Arm.CONTROL
    )
    return Plan(requests, (*trials, *controls))


def rounds(
    arms: Sequence[Arm], slots: Iterable[int], cases: Sequence[str], repeats: Sequence[int]
) -> tuple[PlannedTrial, ...]:
    """`repeats` of `cases` on each of `slots`, the arms in turn."""
    return tuple(
        PlannedTrial(case, slot, repeat, arm)
        for slot in slots
        for case in cases
        for repeat in repeats
        for arm in (arms if repeat % 2 == 0 else tuple(reversed(arms)))
    )


def _requests(request: RunRequest, case: str, sourced: Sourced) -> list[TrialRequest]:
    head = TrialRequest(
        kernel=request.kernel,
        case=case,
        platform=request.platform,
        tuning=request.tuning,
        input_set=request.input_set,
        seed=request.seed,
        tree=sourced.head,
    )
    made = [head]
    if sourced.base:
        made.append(head.model_copy(update={"tree": sourced.base, "arm": Arm.BASE}))
    if sourced.control_seed is not None:
        made.append(head.model_copy(update={"seed": sourced.control_seed, "arm": Arm.CONTROL}))
    return made
