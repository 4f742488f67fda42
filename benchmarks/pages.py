"""How long the dashboard's pages take over a store of months: python -m benchmarks.pages.

Seeds a SQLite store of `--trials`, serves it in a process of its own, and asks for each page `--times` times over HTTP,
one after the other. The first answer of each page is listed separately, because it fills caches. On a shared machine
the waiting time includes other people's work; the cost of a page is the service's processor time for each answer. The
last column is the median over that of a plain server which answers with 20 kB, asked first, in the same run.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil

from benchmarks.machine import watched
from benchmarks.pages_store import seed
from benchmarks.serving import CONFIG, STORE, plain, service
from ci.api import tokens
from ci.store.engine import open_database
from ci.store.states import Scope

_CONFIG = CONFIG.replace("https://farm.example.org", "http://127.0.0.1")  # signing in is over http here
AIM_MS = 150.0  # 95 % of the answers
_PLAIN_BYTES = 20_000  # about what a page has


def main() -> int:
    """Measure and print a table in Markdown; 1 where a page misses the aim."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=40, help="answers measured of each page")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        engine = open_database(f"sqlite:///{directory / STORE}", print)
        begin = time.perf_counter()
        ids = seed(engine, chosen.trials, directory / "runs")
        token = tokens.create(engine, "benchmark", list(Scope))
        engine.dispose()
        size = (directory / STORE).stat().st_size / 1e6
        print(
            f"{chosen.trials} trials of {len(ids)} runs, {size:.0f} MB, made in {time.perf_counter() - begin:.0f} s\n"
        )
        print(
            "| page | first | median | p95 | processor | median / plain |\n|---|---:|---:|---:|---:|---:|", flush=True
        )
        with watched() as watch:
            late = measure(directory, token, ids, chosen.times)
        print(f"\n{watch.machine.verdict}")
    return 0 if max(late) <= AIM_MS else 1


def measure(directory: Path, token: str, ids: list[str], times: int) -> list[float]:
    """Print a row for the plain server and for each page over the store in `directory`; the 95th percentiles, ms."""
    with plain(directory) as served, httpx.Client(base_url=served.url) as client:
        reference = _measure(client, psutil.Process(served.pid), "a plain answer", f"/bytes?{_PLAIN_BYTES}", times, 0.0)
    with service(directory, _CONFIG) as served, httpx.Client(base_url=served.url, timeout=120) as client:
        sign_in(client, token)
        process = psutil.Process(served.pid)
        rows = _pages(ids).items()
        return [_measure(client, process, name, path, times, reference.median_ms).late_ms for name, path in rows]


def _pages(ids: list[str]) -> dict[str, str]:
    ended, other, old = ids[-5], ids[-9], ids[len(ids) // 2]
    return {
        "Now": "/",
        "Now, the part that moves": "/now/live",
        "Runs": "/runs",
        "Runs, failed ones of one platform": "/runs?verdict=failed&platform=a2a3&kernel=qkv_proj_rope",
        "Runs, by a whole id": f"/runs?text={old}",
        "Runs, by author and pull request": "/runs?text=grace+%237",
        "Runs, by a text nobody has": "/runs?text=nowhere",
        "Run, 9 trials of 400 tasks": f"/runs/{ended}",
        "Run, going on": f"/runs/{ids[-1]}",
        "Kernels": "/kernels",
        "Kernel, simulated": "/kernels/qkv_proj_rope?platform=a2a3sim&case=flash-s2",
        "Kernel, measured": "/kernels/qkv_proj_rope?platform=a2a3&case=flash-s2",
        "Devices": "/devices",
        "Device": "/devices/a2a3/npu-3/5",
        "Nights": "/nights",
        "Compare": f"/compare?a={ended}&b={other}",
    }


class Waits(NamedTuple):
    """How long the answers of one page took, without the first."""

    median_ms: float
    late_ms: float  # 95 % came within it


def _measure(client: httpx.Client, process: psutil.Process, name: str, path: str, times: int, plain_ms: float) -> Waits:
    """Print a row with the ratio to `plain_ms`, where that is known."""
    waits, spent_s = [], 0.0
    for number in range(times + 1):
        if number == 1:  # the first has filled caches
            spent_s = _spent_s(process)
        begin = time.perf_counter()
        with client.stream("GET", path) as answer:
            streamed = answer.headers["content-type"].startswith("text/event-stream")  # it has no end to wait for
            next(line for line in answer.iter_lines() if line.startswith("data:")) if streamed else answer.read()
        waits.append((time.perf_counter() - begin) * 1e3)
        if answer.status_code != 200:
            raise SystemExit(f"{path} answered {answer.status_code}")
    first, rest = waits[0], sorted(waits[1:])
    late = rest[min(int(len(rest) * 0.95), len(rest) - 1)]
    each = (_spent_s(process) - spent_s) * 1e3 / times
    middle = statistics.median(rest)
    ratio = f"{middle / plain_ms:.1f}" if plain_ms else "1"
    print(f"| {name} | {first:.1f} ms | {middle:.1f} ms | {late:.1f} ms | {each:.1f} ms | {ratio} |", flush=True)
    return Waits(middle, late)


def _spent_s(process: psutil.Process) -> float:
    """Processor time of the service so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def sign_in(client: httpx.Client, token: str) -> None:
    """Give `client` a session of the holder of `token`."""
    found = re.search(r'name="mark" value="([^"]+)"', client.get("/sign-in").text)
    assert found, "the sign-in page has no form"
    signed = client.post("/sign-in", data={"token": token, "mark": found[1]})
    if signed.status_code != 303:
        raise SystemExit(f"signing in was answered by {signed.status_code}")


if __name__ == "__main__":
    sys.exit(main())
