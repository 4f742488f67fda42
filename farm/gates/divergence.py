"""Who gave other bits of one case than the rest, and what can explain it. Pure.

A difference has two kinds of explanation: the program (it races, or depends on the device), or a card that computes
wrongly. The program is at fault where hardware would need two faulty cards at once. Where one faulty card explains
everything, one run cannot tell the two apart, and the program is not blamed:

- a card that disagrees with itself while no other does: a rare race, or an unsteady card. Which of them is decided by
  `farm.gates.self_disagreement` where there are trials enough;
- a card with steady bits of its own against a strict majority, or one of two cards: a faulty card, or a program that
  depends on the device.

With a single card nobody can bear witness against it, so what it shows is the program's, as a wrong number is.
"""

from __future__ import annotations

import enum
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from farm.gates.protocol import Evidence
from farm.gates.self_disagreement import unsteady_cards
from farm.gates.votes import Cards, Digests, groups, majority, self_disagreeing, witnesses
from jobs.records import TrialRecord

TWO_EXPLANATIONS = (
    "two explanations remain, the card computes wrongly or the kernel depends on the device; "
    "run another kernel on this device to tell"
)
UNFIT = "it failed its canary as well, so its card is at fault"
MOST_OTHER_CARDS = 2  # with two cards that disagree, the first other one says which is odd, the second looks for more
_BEYOND = 1_000_000  # added to a repeat that a device measured twice, after its slots were dealt anew


class Explanation(enum.Enum):
    """What explains that some devices gave other bits."""

    RACE = "the kernel races"
    DEPENDENCE = "the kernel depends on the device"
    UNSTEADY_CARD = "a card computes wrongly now and then"
    RACE_OR_CARD = "the kernel races, or a card computes wrongly now and then"
    CARD_OR_DEPENDENCE = "a card computes wrongly, or the kernel depends on the device"
    NODE = "something that a node gives all of its devices"

    @property
    def program(self) -> bool:
        """Whether it is the program's fault, proven."""
        return self in (Explanation.RACE, Explanation.DEPENDENCE)


@dataclass(frozen=True, slots=True)
class Divergence:
    """One output on which devices differ. `devices` are the odd ones; empty where nobody can be called odd."""

    explanation: Explanation
    output: str
    devices: frozenset[str]
    digests: Digests  # of the output, all devices


def divergences(evidence: Evidence, case: str) -> list[Divergence]:
    """Return what differs in the outputs of `case`, and why; empty where all bits agree."""
    trials = evidence.judged(case)
    by_output = {name: _digests(trials, name) for name in evidence.outputs.get(case, ())}
    cards = {trial.device: evidence.card(trial.device) for trial in trials}
    racing = {cards[device] for digests in by_output.values() for device in self_disagreeing(digests)}
    unsteady = unsteady_cards(*_odd_trials(trials, by_output, cards)) if len(racing) == 1 else frozenset()
    found = []
    for name, digests in by_output.items():
        for explanation, devices in _explained(digests, cards, racing, unsteady):
            found.append(Divergence(explanation, name, devices, digests))
    return found


def _explained(
    digests: Digests, cards: Cards, racing: set[str], unsteady: frozenset[str]
) -> list[tuple[Explanation, frozenset[str]]]:
    """Explanations of one output, each with its odd devices. `racing` are the cards that race in any output."""
    unstable = self_disagreeing(digests)
    steady = {device: repeats for device, repeats in digests.items() if device not in unstable}
    if not unstable:
        return steady_differences(steady, cards)
    faulty = racing | _outside_largest(steady, cards)
    if len(faulty) > 1 or witnesses(digests, cards) == 1:
        return [(Explanation.RACE, frozenset(unstable))]
    return [(Explanation.UNSTEADY_CARD if racing <= unsteady else Explanation.RACE_OR_CARD, frozenset(unstable))]


def steady_differences(digests: Digests, cards: Cards) -> list[tuple[Explanation, frozenset[str]]]:
    """Return what explains that some devices gave other bits, each with the odd ones: none where nobody is odd.

    Only for devices that agree with themselves.
    """
    different = groups(digests)
    if len(different) <= 1:
        return []
    common = majority(digests, cards)
    if common is None:
        one_is_enough = len(_outside_largest(digests, cards)) <= 1
        return [(Explanation.CARD_OR_DEPENDENCE if one_is_enough else Explanation.DEPENDENCE, frozenset())]
    found: list[tuple[Explanation, frozenset[str]]] = []
    for digest, devices in different.items():
        if digest == common:
            continue
        shared = witnesses(devices, cards) > 1  # two cards are not both broken in the same place
        why = Explanation.DEPENDENCE if shared else Explanation.CARD_OR_DEPENDENCE
        nodes = {_node(device) for device in devices}
        if shared and devices == {device for device in digests if _node(device) in nodes}:
            why = Explanation.NODE
        found.append((why, frozenset(devices)))
    return found


def _outside_largest(digests: Digests, cards: Cards) -> set[str]:
    """Cards that must be faulty if the largest group of agreeing devices is right."""
    different = groups(digests)
    largest = max(different.values(), key=lambda devices: (witnesses(devices, cards), min(devices)), default=set())
    return {cards[device] for device in digests if device not in largest}


def _odd_trials(
    trials: Iterable[TrialRecord], by_output: Mapping[str, Digests], cards: Cards
) -> tuple[Counter[str], Counter[str]]:
    """Odd trials and all trials of each card, for a case in which one card disagrees with itself."""
    odd: set[tuple[str, int]] = set()
    for digests in by_output.values():
        unstable = self_disagreeing(digests)
        right = majority({each: of_each for each, of_each in digests.items() if each not in unstable}, cards)
        for device in unstable:
            common = right or statistics.mode(digests[device].values())
            odd |= {(device, repeat) for repeat, digest in digests[device].items() if digest != common}
    return Counter(cards[device] for device, _ in odd), Counter(cards[trial.device] for trial in trials)


def _digests(trials: Iterable[TrialRecord], output: str) -> Digests:
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for trial in trials:
        if digest := trial.digest(output):
            repeat = trial.repeat
            while repeat in found[trial.device]:
                repeat += _BEYOND
            found[trial.device][repeat] = digest
    return dict(found)


def _node(device: str) -> str:
    return device.rpartition("/")[0]
