"""The service in a process of its own, over a SQLite store of the benchmark's, and a plain server beside it.

The plain one is an ASGI application without a framework on the same server (uvicorn). It answers at once (`/echo`),
after one durable insert of the body (`/insert`), with a number of bytes (`/bytes?N`), or with a stream that has an
event now and one after each `/bump` (`/events`). What the service takes beyond it is the service's own.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

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
_SERVE = """
import os, pathlib, uvicorn
from ci.server.app import create_app
from ci.config.settings import load
from ci.store.engine import open_database
from ci.webhook.inbox import Inbox
config = load(pathlib.Path("farm.toml"), os.environ)
engine = open_database(config.store.url, print)
app = create_app(config, engine, Inbox(engine))
uvicorn.run(app, port=config.server.port, log_level="warning", access_log=False)
"""
_PLAIN = """
import asyncio, os, sqlite3, uvicorn
store = sqlite3.connect("plain.sqlite", isolation_level=None)
store.execute("PRAGMA journal_mode = WAL")
store.execute("PRAGMA synchronous = FULL")  # as the service has it
store.execute("CREATE TABLE kept (id INTEGER PRIMARY KEY, body BLOB)")
waiting = set()
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        part = await receive()
        body, more = body + part.get("body", b""), part.get("more_body", False)
    path = scope["path"]
    kind = b"text/event-stream" if path == "/events" else b"text/plain"
    status = 200 if scope["method"] == "GET" else 202
    if path == "/insert":
        store.execute("INSERT INTO kept (body) VALUES (?)", (body,))
    if path == "/bump":
        for each in waiting:
            each.set()
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
    if path == "/events":
        mine = asyncio.Event()
        waiting.add(mine)
        try:
            while True:
                await send({"type": "http.response.body", "body": b"data: x\\n\\n", "more_body": True})
                await mine.wait()
                mine.clear()
        finally:
            waiting.discard(mine)
    size = int(scope["query_string"] or 0) if path == "/bytes" else 0
    await send({"type": "http.response.body", "body": b"x" * size})
uvicorn.run(app, port=int(os.environ["FARM_PORT"]), log_level="warning", access_log=False, lifespan="off",
    timeout_graceful_shutdown=1)  # streams that are open do not end by themselves
"""
STORE = "store.sqlite"


class Service(NamedTuple):
    """One that answers."""

    url: str
    pid: int


@contextmanager
def service(directory: Path, config: str = CONFIG) -> Iterator[Service]:
    """`directory` has the store, which is made where there is none; `config` is written into it."""
    (directory / "farm.toml").write_text(config)
    with _serving(_SERVE, directory) as served:
        yield served


@contextmanager
def plain(directory: Path) -> Iterator[Service]:
    """The plain server, which keeps what it inserts in `directory`."""
    with _serving(_PLAIN, directory) as served:
        yield served


def environment(directory: Path) -> dict[str, str]:
    """What the service reads its secrets, home and store from."""
    store = {"FARM_HOME": str(directory), "FARM_STORE": f"sqlite:///{directory / STORE}"}
    return {**os.environ, "BENCHMARK_SECRET": SECRET, **store}


@contextmanager
def _serving(program: str, directory: Path) -> Iterator[Service]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {**environment(directory), "FARM_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-c", program], env=env, cwd=directory)
    try:
        url = f"http://127.0.0.1:{port}"
        while not _ready(url):
            if process.poll() is not None:
                raise SystemExit("the service did not start")
            time.sleep(0.1)
        yield Service(url, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False
