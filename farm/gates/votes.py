"""Who agrees with whom about the bits of one output: the reasoning the determinism gate and the sweep share. Pure.

One physical card is one witness, however many devices (dies) it carries: what they share can make them wrong together.
So the devices of a card share its one vote equally.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from fractions import Fraction
from types import MappingProxyType

Digests = Mapping[str, Mapping[int, str]]  # device → repeat → digest
Cards = Mapping[str, str]  # device → its card; a device that is not listed is a card of its own
_EVERY_DEVICE_A_CARD: Cards = MappingProxyType({})


def self_disagreeing(digests: Digests) -> list[str]:
    """Devices whose repeats differ, sorted."""
    return sorted(device for device, repeats in digests.items() if len(set(repeats.values())) > 1)


def groups(digests: Digests) -> dict[str, set[str]]:
    """Digest → the devices that gave it. Only for devices that agree with themselves."""
    found: dict[str, set[str]] = defaultdict(set)
    for device, repeats in digests.items():
        found[next(iter(repeats.values()))].add(device)
    return dict(found)


def witnesses(devices: Collection[str], cards: Cards = _EVERY_DEVICE_A_CARD) -> int:
    """How many cards carry `devices`."""
    return len({cards.get(device, device) for device in devices})


def majority(digests: Digests, cards: Cards = _EVERY_DEVICE_A_CARD) -> str | None:
    """The digest that has more than half of the cards' votes, or None. Only for devices that agree with themselves."""
    dies = Counter(cards.get(device, device) for device in digests)
    for digest, devices in groups(digests).items():
        votes = sum(Fraction(1, dies[cards.get(device, device)]) for device in devices)
        if 2 * votes > len(dies):
            return digest
    return None


def minority(digests: Digests, cards: Cards = _EVERY_DEVICE_A_CARD) -> set[str]:
    """Devices outside a strict majority of self-consistent devices; empty where all agree or there is no majority."""
    common = majority(digests, cards)
    return set() if common is None else set(digests) - groups(digests)[common]
