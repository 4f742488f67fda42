"""When to try again."""

from __future__ import annotations

_FIRST_S = 1.0
_LONGEST_S = 300.0
_SPREAD = 0.25  # of the delay, so that what failed together does not come back together


def delay_s(attempts: int, retry_after_s: float | None, chance: float) -> float:
    """How long to wait after the `attempts`th failure in a row, in seconds.

    1, 2, 4, … up to 300, plus up to a quarter by `chance` (0 to 1), and never less than the other side asks for.
    """
    waited: float = min(_FIRST_S * 2.0 ** min(attempts - 1, 30), _LONGEST_S) * (1 + _SPREAD * chance)
    return max(waited, retry_after_s or 0.0)
