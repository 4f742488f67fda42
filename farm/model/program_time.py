"""How long one compiled program took somewhere."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProgramTime:
    """One time of one program, µs of the clock it is compared on."""

    program: str  # fingerprint of the compiled program
    us: float
    where: str  # who measured it, in a few words
