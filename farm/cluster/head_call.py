"""Calls to the cluster's head node that end: each runs in a thread of its own, with a deadline, and can be left.

Ray's own calls have no deadline. A head node that is stopped still accepts connections, and then they wait for ever,
in native code where Python sees neither Ctrl-C nor SIGTERM. A call that is left goes on in its thread; such a process
must end without Ray's handlers at exit, which would wait for the head again: see `left`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from farm.cluster import head_watchdog
from farm.errors import InfrastructureError
from farm.process.background_call import BackgroundCall

T = TypeVar("T")

_abandoned = threading.Event()
_left: list[BackgroundCall[Any]] = []


class HeadSilentError(InfrastructureError):
    """The cluster's head node did not answer one call in time."""

    def __init__(self, doing: str, limit_s: float) -> None:
        self.doing = doing
        self.limit_s = limit_s
        super().__init__(
            f"the head node of the cluster did not answer within {limit_s:g} s (asked to {doing}); see whether it runs "
            "and can be reached"
        )


def answer_s() -> float:
    """Seconds for an answer, which takes milliseconds, a second on a full machine; never less than the watchdog's.

    A head that is given longer to come back gives its answers later too. Raises `UsageError`.
    """
    return max(head_watchdog.LOST_AFTER_S, head_watchdog.lost_after_s())


def bounded(doing: str, call: Callable[..., T], *arguments: Any, limit_s: float | None = None) -> T:
    """Return what `call` returns, or raise what it raises.

    Args:
        doing: What the head is asked for, as the end of "asked to …".
        call: A function of Ray.
        arguments: Its arguments.
        limit_s: Seconds after which it is left; None for `answer_s()`.

    Raises:
        HeadSilentError: `call` has not ended after `limit_s`.
    """
    limit_s = answer_s() if limit_s is None else limit_s
    asked = BackgroundCall(f"head-call: {doing}", call, *arguments)
    try:
        in_time = asked.ended(limit_s)
    except BaseException:  # Ctrl-C: the call goes on behind our back
        _left.append(asked)
        raise
    if not in_time:
        _left.append(asked)
        raise HeadSilentError(doing, limit_s)
    return asked.result()


def abandon() -> None:
    """Note that a connection is left as it is; then the process must not exit politely."""
    _abandoned.set()


def left() -> bool:
    """Whether a call that was left goes on, or a connection was left as it is."""
    return _abandoned.is_set() or any(call.under_way() for call in _left)
