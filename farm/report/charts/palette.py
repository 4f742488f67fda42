"""Colours that people with any colour vision tell apart, on white and on black, and patterns for when they run out.

From Okabe and Ito, Color Universal Design (2008). Vermilion is kept for what needs attention, sky blue for what agrees.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442",
)  # fmt: skip
GREY = "#8C8C8C"

_CATEGORIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW)
_PATTERNS = ("", "/", "x", ".", "-", "|", "\\", "+")


@dataclass(frozen=True, slots=True)
class Fill:
    """How one category is drawn: a colour and one of plotly's pattern shapes, "" for none."""

    colour: str
    pattern: str


def fills(names: Iterable[str]) -> dict[str, Fill]:
    """A fill for each name in the order given; "" is grey. The first 48 differ."""
    found: dict[str, Fill] = {}
    number = 0
    for name in dict.fromkeys(names):
        if not name:
            found[name] = Fill(GREY, "")
            continue
        turn, place = divmod(number, len(_CATEGORIES))
        found[name] = Fill(_CATEGORIES[place], _PATTERNS[turn % len(_PATTERNS)])
        number += 1
    return found
