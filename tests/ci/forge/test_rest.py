"""A forge that asks for a rest gets it from everything in the process."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from ci.errors import ForgeRefusedError, ForgeUnavailableError
from ci.forge.rest import ForgeRest


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.at


def test_nothing_is_asked_until_the_rest_is_over() -> None:
    clock = Clock()
    rest = ForgeRest(clock)
    rest.require_over("GET /x")

    rest.note(ForgeUnavailableError("rate limit", 60.0))

    with pytest.raises(ForgeUnavailableError, match="rest of 60 s") as caught:
        rest.require_over("GET /y")
    assert caught.value.retry_after_s == 60.0
    clock.at += timedelta(seconds=61)
    rest.require_over("GET /y")


def test_the_longest_rest_counts_and_none_is_longer_than_an_hour() -> None:
    rest = ForgeRest(Clock())
    for seconds in (600.0, 5.0):
        rest.note(ForgeUnavailableError("rate limit", seconds))
    assert rest.left_s == 600

    rest.note(ForgeUnavailableError("rate limit", 1e9))

    assert rest.left_s == 3600


@pytest.mark.parametrize("error", [ForgeUnavailableError("an outage"), ForgeRefusedError(404, "gone"), ValueError("x")])
def test_what_asks_for_no_rest_begins_none(error: Exception) -> None:
    rest = ForgeRest(Clock())
    rest.note(error)

    rest.require_over("GET /x")
    assert rest.left_s == 0
