"""Reads a kernel's budget file: what each case may take on each platform, and where that number comes from.

One TOML table per platform and case. `ceiling_us` with its `source` is the fixed limit. `landed` is the ratchet,
simulated platforms only: the times the kernel landed with, oldest first. The last entry is in force; an entry slower
than the one before it must carry a `reason`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class BudgetError(UsageError):
    """The budget file cannot be used: unreadable, or a rule in it is broken."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What one case may take on one platform, in µs of that platform's clock."""

    ceiling_us: float | None
    ratchet_us: float | None  # best landed time in force
    source: str  # where the ceiling comes from
    slower: float | None = None  # share of a merge base's time by which a head may be slower; None for the default

    @property
    def limit_us(self) -> float | None:
        """The stricter of ceiling and ratchet."""
        limits = [limit for limit in (self.ceiling_us, self.ratchet_us) if limit is not None]
        return min(limits) if limits else None


def load_budget(path: Path, platform: str, case: str) -> Budget | None:
    """The budget of `case` on `platform`, or None where the file has none. Raises `BudgetError`."""
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BudgetError(f"cannot read the budget file {path}: {error}") from error
    entry = document.get(platform, {}).get(case)
    if entry is None:
        return None
    where = f"{path.name}: [{platform}.{case}]"
    return Budget(
        ceiling_us=_positive(entry.get("ceiling_us"), f"{where} ceiling_us"),
        ratchet_us=_ratchet(entry.get("landed", []), where),
        source=str(entry.get("source", "")),
        slower=_share(entry.get("slower_than_base"), f"{where} slower_than_base"),
    )


def _positive(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise BudgetError(f"{where} is {value!r}; write a number of µs above 0")
    return float(value)


def _share(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise BudgetError(f"{where} is {value!r}; write a share of at least 0 and below 1, for example 0.02")
    return float(value)


def _ratchet(landed: list[dict[str, Any]], where: str) -> float | None:
    best: float | None = None
    for number, entry in enumerate(landed, 1):
        us = _positive(entry.get("us"), f"{where} landed entry {number}: us")
        if us is None:
            raise BudgetError(f"{where} landed entry {number} has no us; write the landed time in µs")
        if best is not None and us > best and not str(entry.get("reason", "")).strip():
            raise BudgetError(
                f"{where} landed entry {number} raises the ratchet from {best} to {us} µs without a reason; write one"
            )
        best = us
    return best
