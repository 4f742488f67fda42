"""What this process has noted today, so that something repeated all day long is in a log once."""

from __future__ import annotations

import threading

from farm import timestamps

_MOST = 10_000  # kept in memory; a holder of a token may come from many addresses


class OnceADay:
    """Remembers until midnight (UTC) what it was asked for."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, ...]] = set()
        self._day = ""
        self._lock = threading.Lock()

    def is_first(self, *words: str) -> bool:
        """Return whether nobody has asked for these words today."""
        today = timestamps.as_text(timestamps.utc_now())[:10]
        with self._lock:
            if today != self._day or len(self._seen) >= _MOST:
                self._day = today
                self._seen.clear()
            if words in self._seen:
                return False
            self._seen.add(words)
            return True
