"""What one forge is asked and answers, counted, so that an operator sees a limit before it is reached."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping


class ForgeFailure(str, enum.Enum):
    """Why a request did not get what it asked for."""

    NO_ANSWER = "no-answer"  # none in time, or the connection broke
    RATE_LIMITED = "rate-limited"
    REFUSED = "refused"  # any other 4xx
    UNAVAILABLE = "unavailable"  # 5xx


class ForgeTraffic:
    """The requests of this process to one forge."""

    def __init__(self) -> None:
        self._answers: Counter[int] = Counter()
        self._failures: Counter[ForgeFailure] = Counter()
        self._remaining: int | None = None
        self._limit: int | None = None

    @property
    def answers(self) -> dict[int, int]:
        """HTTP status → requests that got it; 0 has those without an answer."""
        return dict(self._answers)

    @property
    def failures(self) -> dict[ForgeFailure, int]:
        """Requests that failed, by why."""
        return {kind: self._failures[kind] for kind in ForgeFailure}

    @property
    def remaining(self) -> int | None:
        """Requests that the forge would still answer, as its newest answer says; None where it says nothing."""
        return self._remaining

    @property
    def limit(self) -> int | None:
        """Of how many."""
        return self._limit

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Count one answer; `headers` find a name in lower case."""
        self._answers[status] += 1
        failure = _failure(status, headers)
        if failure is not None:
            self._failures[failure] += 1
        self._remaining = _number(headers, "x-ratelimit-remaining", self._remaining)
        self._limit = _number(headers, "x-ratelimit-limit", self._limit)

    def unanswered(self) -> None:
        """Count one request that got no answer."""
        self._answers[0] += 1
        self._failures[ForgeFailure.NO_ANSWER] += 1


def _failure(status: int, headers: Mapping[str, str]) -> ForgeFailure | None:
    if status < 400:
        return None
    if status >= 500:
        return ForgeFailure.UNAVAILABLE
    spent = headers.get("x-ratelimit-remaining") == "0" or "retry-after" in headers
    return ForgeFailure.RATE_LIMITED if status == 429 or (status == 403 and spent) else ForgeFailure.REFUSED


def _number(headers: Mapping[str, str], name: str, before: int | None) -> int | None:
    text = headers.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else before
