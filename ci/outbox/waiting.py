"""Waiting with a limit that never loses a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def within(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """Return the result of `work`.

    `asyncio.wait_for` before Python 3.12 answers a cancellation that arrives together with the result by returning the
    result. A loop that waits for its next event then goes on for ever, and the service does not end.

    Raises:
        asyncio.TimeoutError: `work` has not ended within `seconds`; it is cancelled.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        in_time = task.done()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    if not in_time:
        raise asyncio.TimeoutError
    return task.result()
