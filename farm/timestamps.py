"""The one clock of the farm, and the ids that are made from it.

Every time in a table or a record is ISO 8601 in UTC with milliseconds, so that text compares as time does.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta, timezone


def utc_now() -> datetime:
    """Return this moment, in UTC."""
    return datetime.now(timezone.utc)


def now() -> str:
    """Return this moment as it is written into a table or a record."""
    return as_text(utc_now())


def as_text(moment: datetime) -> str:
    """Return `moment` as it is written into a table or a record."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds")


def later(moment: datetime, seconds: float) -> str:
    """Return the moment `seconds` after `moment`, as it is written into a table."""
    return as_text(moment + timedelta(seconds=seconds))


def moment(text: str) -> datetime:
    """Return the time in `text`. Raises `ValueError` where it is not an ISO 8601 time with a zone."""
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        raise ValueError(f"time '{text}' has no zone")
    return parsed


def new_id() -> str:
    """Return a new id that sorts by time and is unique without coordination: UTC second and 24 random bits."""
    return f"{utc_now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
