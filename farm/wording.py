"""How numbers of things are put into words, the same everywhere."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """`1 device`, `3 devices`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
