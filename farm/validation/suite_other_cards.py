"""Where devices disagree on a file of a suite: the look on another card, as `farm.validation.second_look` has it.

A suite's files run on whichever devices are free, so another card is mostly held already. Only where every card of the
lease has made the file, a device that the lease does not hold takes the place of an odd one.
"""

from __future__ import annotations

from farm.errors import InfrastructureError
from farm.gates.determinism import other_card_look
from farm.gates.divergence import MOST_OTHER_CARDS
from farm.gates.protocol import Evidence, PlannedMeasurement
from farm.validation.suite_state import SuiteRun


def look_elsewhere(going: SuiteRun) -> None:
    """Have up to two other cards make the files of which only another card can tell whose fault a difference is."""
    for _ in range(MOST_OTHER_CARDS):
        evidence = going.evidence()
        chosen = {
            file: another
            for file, odd in other_card_look(evidence).items()
            if _repeatable(going, file) and (another := _another(going, evidence, file, odd))
        }
        if not chosen:
            return
        _repeat(going, chosen)


def _repeatable(going: SuiteRun, file: str) -> bool:
    one_device = going.asked.found.files[file].devices == 1
    return one_device and going.executor.can_repeat(file) and not going.executor.blames[file].kernel


def _another(going: SuiteRun, evidence: Evidence, file: str, odd: frozenset[str]) -> str:
    """A device on a card that has no trial of `file` yet; "" where there is none."""
    lease = going.held.lease
    seen = {evidence.card(trial.device) for trial in evidence.trials if trial.case == file}
    held = (lease.device(slot).id for slot in lease.slots)
    if free := next((device for device in held if evidence.card(device) not in seen), ""):
        return free
    slot = next((slot for slot in lease.slots if lease.device(slot).id in odd), None)
    if slot is None:
        return ""
    try:
        moved = lease.replace(slot).moved
    except InfrastructureError:
        return ""  # no other card: both explanations remain, and the report gives them
    return lease.device(slot).id if moved else ""


def _repeat(going: SuiteRun, chosen: dict[str, str]) -> None:
    """Make as many trials of each file again, on its device, numbered on from those before."""
    first = 1 + max(each.repeat for each in going.planned)
    repeats = range(first, first + going.asked.request.repeats)
    going.planned += [PlannedMeasurement(file, 0, repeat) for file in chosen for repeat in repeats]
    devices = sorted(set(chosen.values()))
    going.observer.extended(len(chosen) * len(repeats), f"a look on {', '.join(devices)} at {', '.join(chosen)}")
    going.executor.look_again({file: [device] for file, device in chosen.items()}, repeats)
