"""Waiting with a limit: the result, the limit, and a cancellation at any moment."""

from __future__ import annotations

import asyncio

import pytest

from ci.outbox.waiting import within


async def _ended(event: asyncio.Event) -> str:
    await event.wait()
    return "ended"


def test_the_result_and_the_error_of_the_work_come_through() -> None:
    async def both() -> None:
        event = asyncio.Event()
        event.set()
        assert await within(_ended(event), 60) == "ended"
        with pytest.raises(ZeroDivisionError):
            await within(_fails(), 60)

    asyncio.run(both())


async def _fails() -> None:
    raise ZeroDivisionError


def test_work_that_is_late_is_cancelled() -> None:
    async def late() -> None:
        before = asyncio.all_tasks()
        with pytest.raises(asyncio.TimeoutError):
            await within(_ended(asyncio.Event()), 0.01)
        assert asyncio.all_tasks() == before

    asyncio.run(late())


@pytest.mark.parametrize("steps", range(5))
def test_a_cancellation_that_comes_with_the_result_is_not_lost(steps: int) -> None:
    """Whatever the event loop does between the two: `steps` are its turns from the one to the other."""

    async def together() -> None:
        event = asyncio.Event()
        waiting = asyncio.create_task(within(_ended(event), 60))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        event.set()
        for _ in range(steps):
            await asyncio.sleep(0)
        ended = waiting.done()
        waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled() or ended

    asyncio.run(together())
