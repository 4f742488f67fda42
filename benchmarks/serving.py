"""The service in a process of its own, over a SQLite store in a directory of the benchmark's."""

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
STORE = "store.sqlite"


class Service(NamedTuple):
    """One that answers."""

    url: str
    pid: int


@contextmanager
def service(directory: Path, config: str = CONFIG) -> Iterator[Service]:
    """`directory` has the store, which is made where there is none; `config` is written into it."""
    (directory / "farm.toml").write_text(config)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "BENCHMARK_SECRET": SECRET, "FARM_PORT": str(port), "FARM_HOME": str(directory)}
    env["FARM_STORE"] = f"sqlite:///{directory / STORE}"
    process = subprocess.Popen([sys.executable, "-c", _SERVE], env=env, cwd=directory)
    try:
        url = f"http://127.0.0.1:{port}"
        while not _ready(url):
            if process.poll() is not None:
                raise SystemExit("the service did not start")
            time.sleep(0.1)
        yield Service(url, process.pid)
    finally:
        process.terminate()
        process.wait(20)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False
