"""Moments as the tables have them: ISO 8601 in UTC to the millisecond, so that text compares as time does."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(timezone.utc)


def text(moment: datetime) -> str:
    """As it is written into a table."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds")


def later(moment: datetime, seconds: float) -> str:
    """The moment `seconds` after, as it is written into a table."""
    return text(moment + timedelta(seconds=seconds))
