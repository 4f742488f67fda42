"""Parts of pages that move: each is drawn once for all who look at it, and sent to them when it has changed.

Server-sent events. What goes over the line is always the newest drawing: a browser that reads slowly misses some in
between, and nothing piles up for it. The event's id is the drawing's tag, so a browser that comes back after a lost
connection is sent nothing it has. Nobody who waits holds a thread or a connection of the store's.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from ci.outbox.waiting import within
from ci.web.auth.access import still_reads
from farm.errors import FarmError

LOG = logging.getLogger(__name__)

EVERY_S = 2.0  # between two looks at the store, for each part that somebody looks at
BEAT_S = 10.0  # between two words on a line at rest, and two looks at whether its reader may still read
_BACK_MS = 3000  # a browser comes back after, where the line broke
_CROWDED_MS = 10_000  # and where there are too many
EVENTS = "text/event-stream"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the second is for nginx
_BREAK = re.compile(r"\r\n|\r|\n")  # all three end a line of the protocol


@dataclass(frozen=True, slots=True)
class Drawn:
    """A part as it is at one moment."""

    tag: str  # another one where it looks otherwise
    text: str  # HTML
    over: bool  # it will not move any more: the page is to be loaded anew


Draw = Callable[[], Drawn]


@dataclass(slots=True)
class _Part:
    """A part that somebody looks at."""

    drawn: Drawn
    changed: asyncio.Event = field(default_factory=asyncio.Event)  # of this drawing; the next one has its own
    watchers: int = 0
    task: asyncio.Task[None] | None = None  # draws it again and again

    def show(self, drawn: Drawn) -> None:
        """Take a newer drawing."""
        if drawn.tag != self.drawn.tag:
            self.drawn = drawn
            self.wake()

    def wake(self) -> None:
        """Have everybody who waits look."""
        self.changed.set()
        self.changed = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether nobody draws it any more."""
        return self.task is None or self.task.done()


class Live:
    """All streams of one service. Of one event loop."""

    def __init__(self, most: int, every_s: float = EVERY_S, beat_s: float = BEAT_S) -> None:
        """`most` streams are open at once; a further reader gets one drawing and reconnects for the next."""
        self.most = most
        self.open = 0
        self._every_s = every_s
        self.beat_s = beat_s
        self.parts: dict[str, _Part] = {}
        self._ended = False

    def end(self) -> None:
        """End every stream, and begin none that lasts: the service shuts down."""
        self._ended = True
        for part in self.parts.values():
            part.wake()

    async def follow(
        self, name: str, draw: Draw, first: Drawn, seen: str, still: Callable[[], bool]
    ) -> AsyncIterator[bytes]:
        """The events of the part `name`, which `draw` draws in a thread, `first` being the newest drawing.

        `seen` is the tag of what the reader has. `still` says, in a thread, whether the reader may read on.
        """
        if self._ended or self.open >= self.most:
            yield _back(_CROWDED_MS) + _told(first)
            return
        self.open += 1
        part = self._join(name, draw, first)
        try:
            yield _back(_BACK_MS)
            while not self._ended and not part.ended:
                if part.drawn.tag != seen or part.drawn.over:
                    seen = part.drawn.tag
                    yield _told(part.drawn)
                    if part.drawn.over:
                        return
                elif not await self._woken(part):
                    if not await run_in_threadpool(still):
                        yield reload()
                        return
                    yield b":\n\n"
        except FarmError as error:  # whether they may read is not known; they come back and are told
            LOG.warning("a stream of %s ends: %s", name, error)
        finally:
            self.open -= 1
            self._leave(name, part)

    async def _woken(self, part: _Part) -> bool:
        """Wait for a change; whether there was one before the next beat."""
        try:
            await within(part.changed.wait(), self.beat_s)
        except asyncio.TimeoutError:
            return False
        return True

    def _join(self, name: str, draw: Draw, first: Drawn) -> _Part:
        part = self.parts.get(name)
        if part is None or part.ended:
            part = self.parts[name] = _Part(first)
            part.task = asyncio.create_task(self._watch(part, draw))
            part.task.add_done_callback(lambda task: _ended(name, task))
            part.task.add_done_callback(lambda _: part.wake())
        part.show(first)
        part.watchers += 1
        return part

    def _leave(self, name: str, part: _Part) -> None:
        part.watchers -= 1
        if part.watchers:
            return
        if part.task is not None:
            part.task.cancel()
        if self.parts.get(name) is part:
            del self.parts[name]

    async def _watch(self, part: _Part, draw: Draw) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            part.show(await run_in_threadpool(draw))


def _ended(name: str, task: asyncio.Task[None]) -> None:
    """Log why a part is not drawn any more; its readers reconnect, and get the error where it lasts."""
    error = None if task.cancelled() else task.exception()
    if isinstance(error, FarmError):
        LOG.warning("%s is not drawn: %s", name, error)
    elif error is not None:
        LOG.error("%s cannot be drawn", name, exc_info=error)


def _live(request: Request) -> Live:
    live: Live = request.app.state.live
    return live


LiveHere = Annotated[Live, Depends(_live)]


def stream(request: Request, live: Live, language: str, draw: Draw) -> StreamingResponse:
    """The answer that is a stream of the part at the request's address, drawn once for all readers of a language.

    Of a worker thread, where it draws once.
    """
    first = draw()  # what is wrong with the address is said in the ordinary way
    seen = request.headers.get("last-event-id", "")
    events = live.follow(f"{request.url.path} {language}", draw, first, seen, lambda: still_reads(request))
    return StreamingResponse(events, media_type=EVENTS, headers=_HEADERS)


def reload() -> bytes:
    """The event that makes the page load again."""
    return b"event: over\ndata: reload\n\n"


def _told(drawn: Drawn) -> bytes:
    if drawn.over:
        return reload()
    data = "".join(f"data: {line}\n" for line in _BREAK.split(drawn.text))
    return f"event: part\nid: {drawn.tag}\n{data}\n".encode()


def _back(after_ms: int) -> bytes:
    return f"retry: {after_ms}\n\n".encode()
