"""More trials where devices disagree: again on the same devices, then on another card in place of the odd one.

One look proves nothing. A second one on the odd device separates a steady fault from a passing one. What it cannot
tell is whether the card computes wrongly or the program depends on the device; a look on another card can: where that
one has the odd bits as well, no card is to blame. Where it has not, both explanations remain.
"""

from __future__ import annotations

from collections.abc import Sequence

from farm.errors import InfrastructureError
from farm.execution.plan import Plan, rounds
from farm.gates.determinism import other_card_look, second_look, suspect_devices, unsteady_devices
from farm.gates.divergence import MOST_OTHER_CARDS
from farm.model import lost_vote
from farm.source.kernel_identity import recorded_name
from farm.timestamps import now
from farm.validation.state import RunState


def look_again(going: RunState) -> None:
    """Repeat what can decide whose fault a difference is, and note the votes that devices have lost."""
    first = going.evidence()
    again, suspects = second_look(first), suspect_devices(first)
    devices = frozenset(device for of_case in again.values() for device in of_case)
    slots = _slots(going, devices)
    if slots:
        going.looked_again = devices
        named = ", ".join(sorted(devices))
        run_more(going, slots, [case for case in first.cases if case in again], f"second look at {named}")
    for _ in range(MOST_OTHER_CARDS):
        if not _look_elsewhere(going):
            break
    if slots:
        _note_lost_votes(going, suspects | devices)


def run_more(going: RunState, slots: Sequence[int], cases: list[str], why: str, *, warm_up: bool = False) -> None:
    """One more round of repeats, numbered on from the rounds before; with `warm_up`, a first launch before them."""
    done = len(going.plans) * going.request.repeats
    repeats = [*([-1] if warm_up else []), *range(done, done + going.request.repeats)]
    first = going.plans[0]
    planned = {(trial.case, trial.arm) for trial in first.trials}
    trials = tuple(trial for trial in rounds(first.arms(), slots, cases, repeats) if (trial.case, trial.arm) in planned)
    extra = Plan(first.requests, trials)
    going.plans.append(extra)
    going.observer.extended(len(trials), why)
    going.execution.run(extra)


def _look_elsewhere(going: RunState) -> bool:
    """Put another card in the place of an odd one, and have it make the same trials; False where there is none."""
    evidence = going.evidence()
    asked = other_card_look(evidence)
    slot = next(iter(_slots(going, frozenset(device for of_case in asked.values() for device in of_case))), None)
    if slot is None or going.execution.blame.kernel:
        return False
    odd = going.lease.device(slot).id
    try:
        replaced = going.lease.replace(slot)
    except InfrastructureError:
        return False  # no other card: both explanations remain, and the report gives them
    going.execution.replaced(slot, replaced)
    if replaced.unfit:
        going.unfit_devices |= {odd}
    if not replaced.moved:
        return False
    cases = [case for case in evidence.cases if odd in asked.get(case, ())]
    another = going.lease.device(slot).id
    run_more(going, [slot], cases, f"a look on {another} in place of {odd}", warm_up=going.platform.noisy)
    return True


def _slots(going: RunState, devices: frozenset[str]) -> list[int]:
    return [slot for slot in going.lease.slots if going.lease.device(slot).id in devices]


def _note_lost_votes(going: RunState, looked_at: frozenset[str]) -> None:
    """Note what two lost votes say of devices: a commit's program may compute otherwise there on purpose."""
    evidence, platform = going.evidence(), going.platform
    installed = going.request.source is None
    if not installed and not platform.noisy:
        return
    unsteady = unsteady_devices(evidence)
    going.held.store.observe(
        [
            lost_vote.lost_vote(
                going.held.store.device_history(platform.name, device, lost_vote.HISTORY),
                device,
                platform.name,
                now(),
                recorded_name(going.request.kernel),
                going.id,
                unsteady=device in unsteady,
                installed=installed,
            )
            for device in sorted(suspect_devices(evidence) & looked_at)
        ]
    )
