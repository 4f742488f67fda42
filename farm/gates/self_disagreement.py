"""Whether a device that disagrees with itself is the cause, or shows a race of the kernel. Pure.

A race of the kernel may show on any device. So where every odd trial of a sweep fell on one card although the others
made most of the trials, chance is a poor explanation, and the card a good one. How poor is computed, not guessed: given
where the first odd trial fell, the others fall on the same card with a hypergeometric probability (drawing the odd
trials from all trials without putting back). Below `MAX_CHANCE` the card is the cause; one odd trial alone can never be
proof, and stays with the kernel.

Such devices are real: processors that now and then compute wrongly, a few in several thousand machines (Hochschild et
al., "Cores that don't count", HotOS 2021).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

MAX_CHANCE = 0.01  # one sweep in a hundred may put a rare race of the kernel down to a card, no more
MIN_STEADY_CARDS = 3  # fewer steady ones say little about how often a race would show elsewhere
# More racing cards than this are no accident of hardware. One card is always few enough.
MAX_RACING_SHARE = 0.05


def unsteady_cards(odd: Mapping[str, int], trials: Mapping[str, int]) -> frozenset[str]:
    """Cards whose odd trials are theirs and not the kernel's.

    `trials` has the measured trials of every card, `odd` how many of them gave other bits than the same card or the
    other cards on the same inputs; a card without any may be missing from it.
    """
    racing = [card for card in trials if odd.get(card)]
    steady = len(trials) - len(racing)
    if steady < MIN_STEADY_CARDS or len(racing) > max(1.0, MAX_RACING_SHARE * len(trials)):
        return frozenset()
    total_odd, total = sum(odd.values()), sum(trials.values())
    return frozenset(card for card in racing if chance(odd[card], trials[card], total_odd, total) < MAX_CHANCE)


def chance(odd_here: int, trials_here: int, odd: int, trials: int) -> float:
    """Probability that at least `odd_here` of `odd` odd trials fall on this card's `trials_here` of all `trials`,

    given that the first of them did, if every trial is as likely to be odd as any other.
    """
    draws, here, others = odd - 1, trials_here - 1, trials - trials_here
    ways = sum(math.comb(here, k) * math.comb(others, draws - k) for k in range(odd_here - 1, min(draws, here) + 1))
    return ways / math.comb(trials - 1, draws)
