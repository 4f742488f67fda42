"""How often a trial may be tried."""

from __future__ import annotations

MAX_ATTEMPTS = 3  # the first, and two retries
