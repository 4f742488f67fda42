"""How long a forge waits for the acknowledgement of a delivery that is on disk: python -m benchmarks.webhook.

A real client sends signed pull-request deliveries of `--bytes` at `--rate` a second, on schedule whether or not the
answers keep up, to a real service process with a SQLite store. Latency counts from the moment a delivery was due.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
from githubkit.webhooks import sign

SECRET = "a secret of the benchmark's own"
CONFIG = """
[server]
public_url = "https://farm.example.org"
[forge.github]
kind = "github"
token = { env = "BENCHMARK_SECRET" }
webhook_secrets = [{ env = "BENCHMARK_SECRET" }]
[[repository]]
name = "octo-org/kernels"
kernel = "qkv_proj_rope"
"""
SERVE = """
import os, pathlib, uvicorn
from ci.app import create_app
from ci.config import load
from ci.database import open_database
from ci.webhook.inbox import Inbox
config = load(pathlib.Path("farm.toml"), os.environ)
engine = open_database(config.store.url, print)
app = create_app(config, engine, Inbox(engine))
uvicorn.run(app, port=config.server.port, log_level="warning", access_log=False)
"""


def main() -> int:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rate", type=int, default=200, help="deliveries a second")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--bytes", type=int, default=24_000, help="of one payload; a pull request's is about 24 kB")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, _service(Path(directory)) as url:
        asyncio.run(_send(url, 50, 1, chosen.bytes, "warm"))
        waits = sorted(asyncio.run(_send(url, chosen.rate, chosen.seconds, chosen.bytes, "measured")))
        with closing(sqlite3.connect(Path(directory) / "store.sqlite")) as store:
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


@contextmanager
def _service(directory: Path) -> Iterator[str]:
    (directory / "farm.toml").write_text(CONFIG)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "BENCHMARK_SECRET": SECRET, "FARM_PORT": str(port), "FARM_HOME": str(directory)}
    env["FARM_STORE"] = f"sqlite:///{directory / 'store.sqlite'}"
    process = subprocess.Popen([sys.executable, "-c", SERVE], env=env, cwd=directory)
    try:
        url = f"http://127.0.0.1:{port}"
        while not _ready(url):
            if process.poll() is not None:
                raise SystemExit("the service did not start")
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    sys.exit(main())
