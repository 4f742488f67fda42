"""A forge's wish to be left alone, held by everything in the process that talks to it.

A rate limit is one for all requests. Where each delivery and message waited for itself, the next one would ask at once,
and forges lengthen the rest of those who go on asking.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from ci.errors import ForgeUnavailableError
from farm import timestamps

_LONGEST_S = 3600.0  # GitHub's limits are by the hour; nobody's clock makes it longer


class ForgeRest:
    """One forge's."""

    def __init__(self, now: Callable[[], datetime] = timestamps.utc_now) -> None:
        self._now = now
        self._until: datetime | None = None

    @property
    def left_s(self) -> float:
        """How many seconds it lasts."""
        return 0.0 if self._until is None else max(0.0, (self._until - self._now()).total_seconds())

    def require_over(self, doing: str) -> None:
        """Raise `ForgeUnavailableError` while it lasts; then nothing is sent."""
        left = self.left_s
        if left > 0:
            raise ForgeUnavailableError(f"{doing}: not asked, the forge wants a rest of {left:.0f} s more", left)

    def note(self, error: Exception) -> None:
        """Begin one, or lengthen it, where an answer says for how long."""
        asked = error.retry_after_s if isinstance(error, ForgeUnavailableError) else None
        if asked:
            until = self._now() + timedelta(seconds=min(asked, _LONGEST_S))
            self._until = until if self._until is None else max(self._until, until)
