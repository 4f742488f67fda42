"""20 repositories with 50 open pull requests each: python -m benchmarks.repositories.

One service, one SQLite store. Measured one after the other: queueing a pull request's commit with its first check, as
an event does; a second push to each, which cancels what is open of the first; the pages and the API's list over it; and
claiming jobs one by one, as the runner does. The reference, in the same run, is a plain insert of a row of about the
same size in a transaction of its own, with the store's own durability (WAL, synchronous FULL).
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import httpx
from sqlalchemy import Engine, func, select

from benchmarks.machine import watched
from benchmarks.pages import sign_in
from benchmarks.pull_requests import configuration, open_all
from benchmarks.serving import STORE, environment, service
from ci.api import tokens
from ci.config import settings
from ci.config.settings import Config
from ci.queue.claims import Claims
from ci.store.engine import open_database
from ci.store.states import JobState, Scope
from ci.store.tables import JOB
from farm.process import identity

_ROW_BYTES = 2000  # about what a job, its check in the outbox and their indices take
_PAGES = {"Now": "/", "Runs": "/runs", "API, jobs": "/api/v1/jobs?limit=100"}
_CLAIMED = 100
_PLAIN = "plain insert"

Waits = dict[str, list[float]]  # what was done → seconds of each time


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repositories", type=int, default=20)
    parser.add_argument("--pulls", type=int, default=50, help="open in each repository")
    parser.add_argument("--times", type=int, default=40, help="answers of each page")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    with watched() as watch:
        found = measure(chosen.repositories, chosen.pulls, chosen.times)
    plain_ms = statistics.median(found[_PLAIN]) * 1e3
    rows = {name: _row(waits, plain_ms) for name, waits in found.items()}
    if chosen.json:
        print(json.dumps({"rows": rows, "machine": watch.machine.as_dict()}, indent=1))
        return 0
    print(f"{chosen.repositories} repositories with {chosen.pulls} open pull requests each\n")
    print("| what | times | median | p95 | median / plain insert |\n|---|---:|---:|---:|---:|")
    for name, row in rows.items():
        times = f"{row['median_ms']:.1f} ms | {row['p95_ms']:.1f} ms"
        print(f"| {name} | {row['times']:.0f} | {times} | {row['over_plain']:.1f} |")
    print(f"\n{watch.machine.verdict}")
    return 0


def measure(repositories: int, pulls: int, times: int) -> Waits:
    """Seconds of each queueing, claim and answer, and of each plain insert."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        engine = open_database(f"sqlite:///{directory / STORE}", print)
        (directory / "farm.toml").write_text(configuration(repositories))
        config = settings.load(directory / "farm.toml", environment(directory))
        token = tokens.create(engine, "benchmark", list(Scope))
        found = {_PLAIN: _plain_inserts(directory / "plain.sqlite", repositories * pulls)}
        found["a pull request is opened"] = open_all(engine, config, pulls)
        found["a commit is pushed to it"] = open_all(engine, config, pulls, push=1)
        _require(engine, repositories * pulls)
        found |= _answers(directory, configuration(repositories), token, times)
        found["a job is claimed"] = _claims(engine, config, min(_CLAIMED, repositories * pulls))
        engine.dispose()
    return found


def _plain_inserts(path: Path, count: int) -> list[float]:
    waits = []
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        store.execute("PRAGMA journal_mode = WAL")
        store.execute("PRAGMA synchronous = FULL")
        store.execute("CREATE TABLE kept (id INTEGER PRIMARY KEY, body TEXT)")
        for _ in range(count):
            begun = time.perf_counter()
            store.execute("INSERT INTO kept (body) VALUES (?)", ("x" * _ROW_BYTES,))
            waits.append(time.perf_counter() - begun)
    return waits


def _require(engine: Engine, queued: int) -> None:
    """Every pull request has one open job, that of its newest commit."""
    with engine.connect() as connection:
        query = select(func.count()).select_from(JOB).where(JOB.c.state == JobState.QUEUED.value)
        found = connection.execute(query).scalar()
    if found != queued:
        raise SystemExit(f"{found} jobs are queued, not {queued}")


def _claims(engine: Engine, config: Config, count: int) -> list[float]:
    claims, waits = Claims(engine, config, identity.current()), []
    for _ in range(count):
        begun = time.perf_counter()
        if not claims.take(1):
            raise SystemExit("a queued job was not claimed")
        waits.append(time.perf_counter() - begun)
    return waits


def _answers(directory: Path, config: str, token: str, times: int) -> Waits:
    """The waits for each page, without the first answer, which fills caches."""
    found: Waits = {}
    with service(directory, config) as served, httpx.Client(base_url=served.url, timeout=60) as client:
        sign_in(client, token)
        headers = {"authorization": f"Bearer {token}"}
        for name, path in _PAGES.items():
            waits = []
            for _ in range(times + 1):
                begun = time.perf_counter()
                client.get(path, headers=headers if path.startswith("/api") else None).raise_for_status()
                waits.append(time.perf_counter() - begun)
            found[name] = waits[1:]
    return found


def _row(waits: list[float], plain_ms: float) -> dict[str, float]:
    ranked = sorted(each * 1e3 for each in waits)
    middle = statistics.median(ranked)
    late = ranked[min(int(len(ranked) * 0.95), len(ranked) - 1)]
    return {"times": len(ranked), "median_ms": middle, "p95_ms": late, "over_plain": middle / plain_ms}


if __name__ == "__main__":
    sys.exit(main())
