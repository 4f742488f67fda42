"""How 100 open streams of a page are served: python -m benchmarks.streams.

`--streams` clients follow the part of *Now* that moves. Measured are the wait for the first event of each, the
processor time of the service while nothing changes, and the time from a change in the store to the event in each
client. The service looks at the store every 2 s and draws a part once for all who look, so half a look is in the mean.
A plain server with as many streams, which sends an event the moment it is asked to, comes first in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks.machine import watched
from benchmarks.pages import sign_in
from benchmarks.pages_store import seed
from benchmarks.pull_requests import configuration, open_all
from benchmarks.serving import STORE, environment, plain, service
from ci.api import tokens
from ci.config import settings
from ci.store.engine import open_database
from ci.store.states import Scope

_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class StreamTimes:
    """How one server has served its streams; times in ms."""

    server: str
    streams: int
    first_median_ms: float  # from the request to the first event
    first_worst_ms: float
    change_median_ms: float  # from a change to its event
    change_worst_ms: float
    idle_share: float  # of one processor, while nothing changed


def main() -> int:
    """Measure the plain server and the service, print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--idle", type=float, default=20.0, help="seconds without a change")
    parser.add_argument("--trials", type=int, default=2000, help="in the store")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    with watched() as watch:
        found = measure(chosen.streams, chosen.idle, chosen.trials)
    if chosen.json:
        print(json.dumps({"arms": [asdict(each) for each in found], "machine": watch.machine.as_dict()}, indent=1))
        return 0
    print("| server | streams | first event, median | worst | change, median | worst | processor |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for each in found:
        firsts = f"{each.first_median_ms:.0f} ms | {each.first_worst_ms:.0f} ms"
        changes = f"{each.change_median_ms:.0f} ms | {each.change_worst_ms:.0f} ms"
        print(f"| {each.server} | {each.streams} | {firsts} | {changes} | {each.idle_share:.1%} |")
    print(f"\n{watch.machine.verdict}")
    return 0


def measure(streams: int, idle_s: float, trials: int) -> list[StreamTimes]:
    """A plain server's streams, then the service's."""
    with tempfile.TemporaryDirectory() as name, plain(Path(name)) as served:
        url = served.url

        async def bump() -> None:
            async with httpx.AsyncClient() as client:
                await client.post(f"{url}/bump")

        bare = asyncio.run(_served("plain", f"{url}/events", served.pid, streams, idle_s, httpx.Cookies(), bump))
    with tempfile.TemporaryDirectory() as name:
        return [bare, _of_service(Path(name), streams, idle_s, trials)]


def _of_service(directory: Path, streams: int, idle_s: float, trials: int) -> StreamTimes:
    engine = open_database(f"sqlite:///{directory / STORE}", print)
    seed(engine, trials, directory / "runs")
    token = tokens.create(engine, "benchmark", list(Scope))
    with service(directory, configuration(1)) as served:
        config = settings.load(directory / "farm.toml", environment(directory))

        async def change() -> None:
            await asyncio.to_thread(open_all, engine, config, 1)

        with httpx.Client(base_url=served.url, timeout=_PATIENCE_S) as client:
            sign_in(client, token)
            url, cookies = f"{served.url}/now/live", client.cookies
        found = asyncio.run(_served("service", url, served.pid, streams, idle_s, cookies, change))
    engine.dispose()
    return found


async def _served(
    server: str,
    url: str,
    pid: int,
    streams: int,
    idle_s: float,
    cookies: httpx.Cookies,
    change: Callable[[], Awaitable[None]],
) -> StreamTimes:
    """Open the streams, leave them alone for a while, make a change, and wait until each has it."""
    limits = httpx.Limits(max_connections=streams + 8)
    async with httpx.AsyncClient(timeout=_PATIENCE_S, limits=limits, cookies=cookies) as client:
        readers = [_Reader(client, url) for _ in range(streams)]
        tasks = [asyncio.create_task(reader.read()) for reader in readers]
        try:
            firsts = await asyncio.wait_for(asyncio.gather(*(reader.next_event() for reader in readers)), _PATIENCE_S)
            process = psutil.Process(pid)
            before = _spent_s(process)
            await asyncio.sleep(idle_s)
            share = (_spent_s(process) - before) / idle_s if idle_s else 0.0
            for reader in readers:
                reader.forget()
            begun = time.perf_counter()
            await change()
            seen = await asyncio.wait_for(asyncio.gather(*(reader.next_event() for reader in readers)), _PATIENCE_S)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    waited = sorted((at - reader.begun) * 1e3 for at, reader in zip(firsts, readers, strict=True))
    changed = sorted((at - begun) * 1e3 for at in seen)
    middle = streams // 2
    return StreamTimes(server, streams, waited[middle], waited[-1], changed[middle], changed[-1], share)


class _Reader:
    """One client that follows one stream, and notes when an event arrives."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client, self._url = client, url
        self._events: asyncio.Queue[float] = asyncio.Queue()
        self.begun = time.perf_counter()

    async def read(self) -> None:
        async with self._lines() as lines:
            async for line in lines:
                if line.startswith("data:"):
                    self._events.put_nowait(time.perf_counter())
                    await _rest_of(lines)

    async def next_event(self) -> float:
        """When the next event came."""
        return await self._events.get()

    def forget(self) -> None:
        """Leave events that came meanwhile."""
        while not self._events.empty():
            self._events.get_nowait()

    @asynccontextmanager
    async def _lines(self) -> AsyncIterator[AsyncIterator[str]]:
        async with self._client.stream("GET", self._url) as answer:
            answer.raise_for_status()
            yield answer.aiter_lines()


async def _rest_of(lines: AsyncIterator[str]) -> None:
    """Read to the end of an event: an empty line."""
    async for line in lines:
        if not line:
            return


def _spent_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    sys.exit(main())
