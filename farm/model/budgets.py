"""Reads a kernel's budget file: what each case may take on each platform, and where that number comes from.

One TOML table per platform and case. `ceiling_us` with its `source` is the fixed limit. `landed` is the ratchet,
simulated platforms only: the times the kernel landed with, oldest first. The last entry is in force; an entry slower
than the one before it must carry a `reason`. `slower_than_base` is the share by which a head may be slower than its
merge base.

Whatever the file holds beside these is refused: a misspelt key would otherwise be a gate that is silently open.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm.errors import UsageError
from kernel.clock import Clock
from kernel.errors import unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_KEYS = ("ceiling_us", "source", "landed", "slower_than_base")
_LIMITS = ("ceiling_us", "landed", "slower_than_base")
_LANDED_KEYS = ("us", "reason")


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
    """Return the budget of `case` on `platform`, or None where the file has none.

    Raises:
        BudgetError: The file cannot be read, or any entry of it, of whichever case, breaks a rule.
    """
    return load_budgets(path).get((platform, case))


def load_budgets(path: Path) -> dict[tuple[str, str], Budget]:
    """Return every budget in the file at `path`, by platform and case.

    Raises:
        BudgetError: The file cannot be read, or an entry of it breaks a rule.
    """
    return {
        (platform, case): _budget(entry, f"{path}: [{platform}.{case}]")
        for platform, cases in _document(path).items()
        for case, entry in _table(cases, f"{path}: [{platform}]").items()
    }


def require_known(
    path: Path, cases: Collection[str], platforms: Collection[str], clock_of: Callable[[str], Clock]
) -> None:
    """Refuse a budget file that names what does not exist.

    Args:
        path: The budget file, of a form that `load_budgets` accepts.
        cases: The kernel's cases.
        platforms: The installed platforms.
        clock_of: Gives the clock of an installed platform.

    Raises:
        BudgetError: A case or platform is unknown, or a platform with a measured clock has a ratchet.
    """
    for (platform, case), budget in load_budgets(path).items():
        where = f"{path}: [{platform}.{case}]"
        if platform not in platforms:
            raise BudgetError(f"{where}: {unknown('platform', platform, platforms)}")
        if case not in cases:
            raise BudgetError(f"{where}: {unknown('case', case, cases)}")
        if budget.ratchet_us is not None and clock_of(platform) is Clock.MEASURED:
            raise BudgetError(
                f"{where} landed: times of '{platform}' are measured and vary from run to run; use ceiling_us"
            )


def _document(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no TOML, no UTF-8, a number of 5000 digits
        problem = " ".join(str(error).split())
        raise BudgetError(f"cannot read the budget file {path}: {problem}") from error
    return document


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BudgetError(f"{where} is {_shown(value)}; write one table per platform and case, as [a2a3sim.tiny]")
    return value


def _budget(value: Any, where: str) -> Budget:
    entry = _table(value, where)
    _require_keys(entry, _KEYS, where)
    if not any(key in entry for key in _LIMITS):
        raise BudgetError(f"{where} limits nothing; write {', '.join(_LIMITS[:-1])} or {_LIMITS[-1]}")
    budget = Budget(
        ceiling_us=_positive(entry.get("ceiling_us"), f"{where} ceiling_us"),
        ratchet_us=_ratchet(entry.get("landed", []), where),
        source=_text(entry.get("source", ""), f"{where} source"),
        slower=_share(entry.get("slower_than_base"), f"{where} slower_than_base"),
    )
    if budget.ceiling_us is not None and not budget.source:
        raise BudgetError(f"{where} has a ceiling_us without a source; write where the number comes from")
    return budget


def _require_keys(entry: dict[str, Any], known: Iterable[str], where: str) -> None:
    for key in entry:
        if key not in known:
            raise BudgetError(f"{where}: {unknown('key', key, known)}")


def _positive(value: Any, where: str) -> float | None:
    if value is None:
        return None
    number = _number(value)
    if number is None or not number > 0:
        raise BudgetError(f"{where} is {_shown(value)}; write a finite number of µs above 0")
    return number


def _share(value: Any, where: str) -> float | None:
    if value is None:
        return None
    number = _number(value)
    if number is None or not 0 <= number < 1:
        raise BudgetError(f"{where} is {_shown(value)}; write a share of at least 0 and below 1, for example 0.02")
    return number


def _number(value: Any) -> float | None:
    """`value` as a finite number; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise BudgetError(f"{where} is {_shown(value)}; write a sentence in quotes")
    return value.strip()


def _ratchet(landed: Any, where: str) -> float | None:
    if not isinstance(landed, list):
        raise BudgetError(f'{where} landed is {_shown(landed)}; write a list, as [{{ us = 40.5, reason = "first" }}]')
    best: float | None = None
    for number, each in enumerate(landed, 1):
        here = f"{where} landed entry {number}"
        if not isinstance(each, dict):
            raise BudgetError(f'{here} is {_shown(each)}; write a table, as {{ us = 40.5, reason = "first" }}')
        _require_keys(each, _LANDED_KEYS, here)
        us = _positive(each.get("us"), f"{here}: us")
        if us is None:
            raise BudgetError(f"{here} has no us; write the landed time in µs")
        if not _text(each.get("reason", ""), f"{here}: reason") and best is not None and us > best:
            raise BudgetError(f"{here} raises the ratchet from {best} to {us} µs without a reason; write one")
        best = us
    return best


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:40]}…"
