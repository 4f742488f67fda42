"""How long a forge waits for the acknowledgement of a delivery that is on disk: python -m benchmarks.webhook.

A real client sends signed pull-request deliveries of `--bytes` at `--rate` a second, on schedule whether or not the
answers keep up, to a real service process with a SQLite store. Latency counts from the moment a delivery was due.
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

import httpx
from githubkit.webhooks import sign

from benchmarks.serving import SECRET, STORE, service


def main() -> int:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rate", type=int, default=200, help="deliveries a second")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--bytes", type=int, default=24_000, help="of one payload; a pull request's is about 24 kB")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, service(Path(directory)) as served:
        url = served.url
        asyncio.run(_send(url, 50, 1, chosen.bytes, "warm"))
        waits = sorted(asyncio.run(_send(url, chosen.rate, chosen.seconds, chosen.bytes, "measured")))
        with closing(sqlite3.connect(Path(directory) / STORE)) as store:
            [[kept]] = store.execute("SELECT count(*) FROM delivery WHERE id LIKE 'measured%'").fetchall()
    sent = chosen.rate * chosen.seconds
    median, late = waits[len(waits) // 2], waits[int(len(waits) * 0.99)]
    print(
        f"{sent} deliveries of {chosen.bytes} bytes at {chosen.rate}/s: {kept} kept, acknowledged in "
        f"{median * 1e3:.1f} ms (median), {late * 1e3:.1f} ms (p99), {waits[-1] * 1e3:.1f} ms (worst)"
    )
    return 0 if kept == sent else 1


async def _send(url: str, rate: int, seconds: int, size: int, name: str) -> list[float]:
    """Send on schedule; the wait of each for its 202, in seconds."""
    payload = {"action": "opened", "repository": {"full_name": "octo-org/kernels"}, "filling": ""}
    payload["filling"] = "x" * (size - len(json.dumps(payload)))
    body = json.dumps(payload).encode()
    headers = {"content-type": "application/json", "x-github-event": "pull_request"}
    headers["x-hub-signature-256"] = sign(SECRET, body, method="sha256")
    begin = time.perf_counter() + 0.2
    async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=64)) as client:

        async def one(number: int) -> float:
            due = begin + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            answer = await client.post(
                f"{url}/webhooks/github", content=body, headers={**headers, "x-github-delivery": f"{name}-{number}"}
            )
            answer.raise_for_status()
            return time.perf_counter() - due

        return await asyncio.gather(*(one(number) for number in range(rate * seconds)))


if __name__ == "__main__":
    sys.exit(main())
