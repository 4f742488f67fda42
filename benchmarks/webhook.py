"""How long a forge waits for the acknowledgement of a delivery that is on disk: python -m benchmarks.webhook.

A real client sends signed pull-request deliveries of `--bytes` at `--rate` a second, on schedule whether or not the
answers keep up, to a real service process with a SQLite store. Latency counts from the moment a delivery was due. The
same goes to two plain servers before it, in the same run: one that only answers, and one that inserts the body durably.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import aiohttp
from githubkit.webhooks import sign

from benchmarks.machine import watched
from benchmarks.serving import SECRET, STORE, plain, service

WARM = 50  # deliveries before those that are measured
AIM_MS = 50.0  # 99 % of the answers


class Arm(NamedTuple):
    """How one server has answered."""

    name: str
    waits_s: list[float]  # of each delivery, sorted
    kept: int  # deliveries on disk

    @property
    def median_ms(self) -> float:
        """Half of the answers came within it."""
        return self.waits_s[len(self.waits_s) // 2] * 1e3

    @property
    def late_ms(self) -> float:
        """99 % of the answers came within it."""
        return self.waits_s[int(len(self.waits_s) * 0.99)] * 1e3


def main() -> int:
    """Measure the three arms and print a table; 1 where a delivery was lost or the aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rate", type=int, default=200, help="deliveries a second")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--bytes", type=int, default=24_000, help="of one payload; a pull request's is about 24 kB")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    with watched() as watch:
        arms = measure(chosen.rate, chosen.seconds, chosen.bytes)
    if chosen.json:
        told = {arm.name: {"median_ms": arm.median_ms, "p99_ms": arm.late_ms, "kept": arm.kept} for arm in arms}
        print(json.dumps({"arms": told, "rate": chosen.rate, "machine": watch.machine.as_dict()}, indent=1))
    else:
        print(f"{chosen.rate * chosen.seconds} deliveries of {chosen.bytes} bytes at {chosen.rate}/s\n")
        print(
            "| server | kept | median | p99 | worst | p99 / echo | p99 / insert |\n|---|---:|---:|---:|---:|---:|---:|"
        )
        for arm in arms:
            ratios = " | ".join(f"{arm.late_ms / other.late_ms:.1f}" for other in arms[:2])
            times = " | ".join(f"{each:.1f} ms" for each in (arm.median_ms, arm.late_ms, arm.waits_s[-1] * 1e3))
            print(f"| {arm.name} | {arm.kept} | {times} | {ratios} |")
        print(f"\n{watch.machine.verdict}")
    service_arm = arms[-1]
    return 0 if service_arm.kept == chosen.rate * chosen.seconds and service_arm.late_ms <= AIM_MS else 1


def measure(rate: int, seconds: int, size: int) -> list[Arm]:
    """A plain echo, a plain insert and the service, one after the other, each with the same deliveries."""
    arms = []
    with tempfile.TemporaryDirectory() as name, plain(Path(name)) as served:
        for path in ("echo", "insert"):
            waits = _waits(f"{served.url}/{path}", rate, seconds, size)
            kept = _count(Path(name) / "plain.sqlite", "SELECT count(*) FROM kept") if path == "insert" else 0
            arms.append(Arm(f"plain {path}", waits, max(0, kept - WARM)))
    with tempfile.TemporaryDirectory() as name, service(Path(name)) as served:
        waits = _waits(f"{served.url}/webhooks/github", rate, seconds, size)
        kept = _count(Path(name) / STORE, "SELECT count(*) FROM delivery WHERE id LIKE 'measured%'")
        arms.append(Arm("service", waits, kept))
    return arms


def _waits(url: str, rate: int, seconds: int, size: int) -> list[float]:
    asyncio.run(_send(url, WARM, 1, size, "warm"))
    return sorted(asyncio.run(_send(url, rate, seconds, size, "measured")))


def _count(store: Path, query: str) -> int:
    with closing(sqlite3.connect(store)) as connection:
        return int(connection.execute(query).fetchone()[0])


async def _send(url: str, rate: int, seconds: int, size: int, name: str) -> list[float]:
    """Send on schedule; the wait of each for its 202, in seconds."""
    payload = {"action": "opened", "repository": {"full_name": "octo-org/kernels"}, "filling": ""}
    payload["filling"] = "x" * (size - len(json.dumps(payload)))
    body = json.dumps(payload).encode()
    headers = {"content-type": "application/json", "x-github-event": "pull_request"}
    headers["x-hub-signature-256"] = sign(SECRET, body, method="sha256")
    # A client that is cheap beside the service: both have the same processors. httpx takes four times as much.
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=64), timeout=aiohttp.ClientTimeout(total=30 + seconds)
    ) as client:
        begin = time.perf_counter() + 0.2  # from here on: a client takes a while to make

        async def one(number: int) -> float:
            due = begin + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            sent = {**headers, "x-github-delivery": f"{name}-{number}"}
            async with client.post(url, data=body, headers=sent) as answer:
                answer.raise_for_status()
                await answer.read()
            return time.perf_counter() - due

        return await asyncio.gather(*(one(number) for number in range(rate * seconds)))


if __name__ == "__main__":
    sys.exit(main())
