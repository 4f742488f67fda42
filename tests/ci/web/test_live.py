"""Streams of parts that move: what goes over them, by hand first and then over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from ci.api import tokens
from ci.store.states import Scope
from ci.web.live import Drawn, Live
from farm.model.run import Verdict
from farm.store.engine import StoreError
from farm.store.run_store import Store
from tests.ci.web.site import Site, Visitor
from tests.farm import samples

SOON_S = 60.0  # far more than it takes
EVENTS = {"Accept": "text/event-stream"}


class Picture:
    """A part that a test repaints, and how often it was drawn."""

    def __init__(self) -> None:
        self.now = Drawn("0", "nothing", over=False)
        self.times = 0
        self.error: Exception | None = None

    def draw(self) -> Drawn:
        self.times += 1
        if self.error:
            raise self.error
        return self.now

    def paint(self, text: str, over: bool = False) -> None:
        self.now = Drawn(f"t{text[:3]}", text, over)


def tried(scenario: Callable[[Live, Picture], Awaitable[None]], most: int = 9, beat_s: float = SOON_S) -> None:
    async def main() -> None:
        live = Live(most, every_s=0.01, beat_s=beat_s)
        await asyncio.wait_for(scenario(live, Picture()), SOON_S)
        assert live.open == 0 and not live.parts

    asyncio.run(main())


def reading(live: Live, picture: Picture, seen: str = "", still: Callable[[], bool] = lambda: True) -> Lines:
    return Lines(live.follow("part", picture.draw, picture.now, seen, still))


class Lines:
    """The events of a stream, one at a time."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks

    async def next(self) -> str:
        """The next event or comment; "" at the end. `retry` is passed over."""
        async for chunk in self._chunks:
            if not chunk.startswith(b"retry: 3000"):
                return chunk.decode()
        return ""

    async def close(self) -> None:
        await self._chunks.aclose()  # type: ignore[attr-defined]


def test_what_changes_is_sent_with_its_tag_and_nothing_else() -> None:
    async def scenario(live: Live, picture: Picture) -> None:
        lines = reading(live, picture)
        assert await lines.next() == "event: part\nid: 0\ndata: nothing\n\n"
        waiting = asyncio.ensure_future(lines.next())
        while picture.times < 5:
            await asyncio.sleep(0.01)
        assert not waiting.done()
        picture.paint("one\ntwo\r\nthree\revent: over")
        assert (await waiting).splitlines()[2:6] == ["data: one", "data: two", "data: three", "data: event: over"]
        await lines.close()

    tried(scenario)


def test_it_is_drawn_once_for_everybody_and_for_nobody_not_at_all() -> None:
    async def scenario(live: Live, picture: Picture) -> None:
        readers = [reading(live, picture) for _ in range(8)]
        await asyncio.gather(*(lines.next() for lines in readers))
        waiting = [asyncio.ensure_future(lines.next()) for lines in readers]
        [part] = live.parts.values()
        picture.paint("one")
        assert len({*(await asyncio.gather(*waiting))}) == 1
        assert list(live.parts.values()) == [part]
        for lines in readers:
            await lines.close()
        assert part.task is not None
        await asyncio.wait([part.task])

    tried(scenario)


def test_a_slow_reader_gets_the_newest_and_holds_nobody_up() -> None:
    async def scenario(live: Live, picture: Picture) -> None:
        slow, quick = reading(live, picture), reading(live, picture)
        await slow.next()
        await quick.next()
        for text in ("one", "two", "three"):
            picture.paint(text)
            assert text in await quick.next()
        assert "three" in await slow.next()
        await slow.close()
        await quick.close()

    tried(scenario)


def test_a_reader_that_comes_back_is_not_sent_what_it_has() -> None:
    async def scenario(live: Live, picture: Picture) -> None:
        lines = reading(live, picture, seen="0")
        waiting = asyncio.ensure_future(lines.next())
        picture.paint("one")
        assert "one" in await waiting
        await lines.close()

    tried(scenario)


def test_a_part_that_is_over_has_the_page_loaded_anew_and_ends() -> None:
    async def scenario(live: Live, picture: Picture) -> None:
        lines = reading(live, picture)
        await lines.next()
        picture.paint("done", over=True)
        assert await lines.next() == "event: over\ndata: reload\n\n"
        assert await lines.next() == ""

    tried(scenario)


def test_a_line_at_rest_beats_and_asks_whether_its_reader_may_still_read() -> None:
    async def scenario(live: Live, picture: Picture) -> None:
        may = [True, True, False]
        lines = reading(live, picture, still=lambda: may.pop(0))
        await lines.next()
        assert [await lines.next() for _ in range(4)] == [":\n\n", ":\n\n", "event: over\ndata: reload\n\n", ""]

    tried(scenario, beat_s=0.01)


def test_whoever_finds_no_room_gets_one_drawing_and_when_to_come_back() -> None:
    async def scenario(live: Live, picture: Picture) -> None:
        first = reading(live, picture)
        await first.next()
        second = reading(live, picture)
        assert (await second.next()).startswith("retry: 10000\n\nevent: part\n")
        assert await second.next() == ""
        await first.close()
        third = reading(live, picture)
        assert (await third.next()).startswith("event: part")
        await third.close()

    tried(scenario, most=1)


def test_at_the_end_of_the_service_every_stream_ends_and_none_begins() -> None:
    async def scenario(live: Live, picture: Picture) -> None:
        readers = [reading(live, picture) for _ in range(5)]
        await asyncio.gather(*(lines.next() for lines in readers))
        waiting = [asyncio.ensure_future(lines.next()) for lines in readers]
        await asyncio.sleep(0)
        live.end()
        assert await asyncio.gather(*waiting) == [""] * 5
        late = reading(live, picture)
        assert "part" in await late.next() and await late.next() == ""

    tried(scenario)


@pytest.mark.parametrize("error", [StoreError("read", ValueError("disk")), ZeroDivisionError()])
def test_a_part_that_cannot_be_drawn_ends_its_streams_and_is_tried_anew(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(live: Live, picture: Picture) -> None:
        lines = reading(live, picture)
        await lines.next()
        picture.error = error
        assert await lines.next() == ""
        picture.error = None
        again = reading(live, picture, seen="0")
        waiting = asyncio.ensure_future(again.next())
        picture.paint("one")
        assert "one" in await waiting
        await again.close()

    tried(scenario)
    assert [bool(record.exc_info) for record in caplog.records] == [isinstance(error, ZeroDivisionError)]


# Over HTTP


@contextmanager
def opened(visitor: Visitor, path: str) -> Iterator[Iterator[str]]:
    """The lines of a stream."""
    with visitor.stream("GET", path, headers=EVENTS) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream"), answer.read()
        yield answer.iter_lines()


@pytest.mark.service
def test_fifty_open_pages_leave_the_store_and_the_service_to_others(site: Site) -> None:
    site.add_runs("r1", "r2", verdicts=(Verdict.PASSED, None))
    with ExitStack() as stack, site.visitor(Scope.READ) as visitor:
        cookie, kept = dict(visitor.cookies), []
        for _ in range(50):
            client = stack.enter_context(Visitor(str(visitor.base_url)))
            client.cookies.update(cookie)
            kept.append(stack.enter_context(opened(client, "/now/live")))  # one that nobody holds is closed
            assert any("r2" in line for line in kept[-1])
        assert site.app.state.live.open == 50
        answers = [visitor.get(path).status_code for path in ("/", "/runs", "/devices", "/runs/r1") for _ in range(5)]
        assert set(answers) == {200}
        stack.close()
    assert site.app.state.live.open == 0


@pytest.mark.service
def test_the_lines_of_a_run_that_ends_end_as_well(site: Site) -> None:
    site.add_runs("r1", verdicts=(None,))
    with site.visitor(Scope.READ) as visitor, opened(visitor, "/runs/r1/live") as lines:
        assert next(line for line in lines if line.startswith("event")) == "event: part"
        Store(site.engine).finish(samples.run(run_id="r1", verdict=Verdict.PASSED))
        assert [line for line in lines if line.startswith("event")][-1] == "event: over"


@pytest.mark.service
def test_a_stream_is_for_those_who_may_read_for_as_long_as_they_may(site: Site) -> None:
    site.app.state.live.beat_s = 0.05
    site.add_runs("r1", verdicts=(Verdict.PASSED,))
    with site.visitor() as stranger:
        with opened(stranger, "/now/live") as lines:
            assert [line for line in lines if line] == ["event: over", "data: reload"]
        assert stranger.get("/now/live").status_code == 303  # to whoever is no page of ours
    with site.visitor(Scope.READ) as visitor, opened(visitor, "/now/live") as lines:
        assert any("r1" in line for line in lines)
        tokens.revoke(site.engine, "t0")
        assert [line for line in lines if line.startswith("event")][-1] == "event: over"


@pytest.mark.service
def test_what_there_is_none_of_is_told_in_the_ordinary_way(site: Site) -> None:
    with site.visitor(Scope.READ) as visitor:
        found = [visitor.get(path, headers=EVENTS).status_code for path in ("/runs/no/live", f"/jobs/{'0' * 32}/live")]

    assert found == [404, 404]
