"""Starts of Ray that are too slow are tried again, others are not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from farm.cluster import patience

TOO_SLOW = Exception("The current node timed out during startup. This could happen because …")


def starting(*outcomes: Exception | str) -> tuple[Callable[[], str], list[None]]:
    """A start with these outcomes, one after another, and the list that grows with each call."""
    calls: list[None] = []

    def start() -> str:
        calls.append(None)
        outcome = outcomes[len(calls) - 1]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return start, calls


@pytest.mark.parametrize("slow", range(patience.STARTS))
def test_what_starts_in_the_end_has_started(slow: int, capsys: pytest.CaptureFixture[str]) -> None:
    start, calls = starting(*[TOO_SLOW] * slow, "a node")

    assert patience.started(start) == "a node"
    assert len(calls) == slow + 1
    assert capsys.readouterr().err.count("trying again") == slow


def test_what_is_too_slow_each_time_says_so() -> None:
    start, calls = starting(*[TOO_SLOW] * 5)

    with pytest.raises(Exception, match="timed out during startup"):
        patience.started(start)
    assert len(calls) == patience.STARTS


def test_another_failure_is_not_tried_again() -> None:
    start, calls = starting(OSError("AF_UNIX path too long"), "a node")

    with pytest.raises(OSError, match="AF_UNIX"):
        patience.started(start)
    assert len(calls) == 1
