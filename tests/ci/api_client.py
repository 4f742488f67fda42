"""The service's application over a store with something in it, and clients that hold tokens."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from fastapi import FastAPI
from sqlalchemy import Engine, insert

from ci.api import tokens
from ci.config.settings import Config
from ci.server.app import create_app
from ci.store.engine import open_database
from ci.store.states import Scope
from ci.store.tables import DELIVERY
from ci.webhook.inbox import Inbox
from farm.model.run import Verdict
from farm.store.run_store import Store
from tests.ci.configuration import configuration
from tests.fakes.served import served
from tests.farm import samples


class Api:
    """One application, and its store."""

    def __init__(self, directory: Path, public_read: bool = False) -> None:
        self.directory = directory
        self.config = _config(directory, public_read)
        (directory / "store.sqlite").write_bytes(_migrated())
        self.engine: Engine = open_database(f"sqlite:///{directory / 'store.sqlite'}", print)
        self.app: FastAPI = create_app(self.config, self.engine, Inbox(self.engine))

    def token(self, *scopes: Scope) -> str:
        """A new token."""
        return tokens.create(self.engine, f"t{len(tokens.list_tokens(self.engine))}", scopes)

    @contextmanager
    def client(self, *scopes: Scope) -> Iterator[httpx.Client]:
        """A client of a real server, with a token of these scopes, without one where there are none."""
        headers = {"Authorization": f"Bearer {self.token(*scopes)}"} if scopes else {}
        with served(self.app) as url, httpx.Client(base_url=url, headers=headers, timeout=30) as client:
            yield client

    def add_runs(self, *run_ids: str, verdicts: Sequence[Verdict | None] = (Verdict.PASSED,)) -> None:
        """Runs with files below `runs/`, each started a second after the one before."""
        store = Store(self.engine)
        for number, run_id in enumerate(run_ids):
            directory = self.directory / "runs" / run_id
            (directory / "logs").mkdir(parents=True)
            (directory / "report.json").write_text('{"run": "' + run_id + '"}')
            (directory / "logs" / "trial.log").write_text(f"hello from {run_id}\n")
            started = {"run_id": run_id, "started_at": f"2026-01-01T00:00:{number:02}.000+00:00"}
            wanted = {**started, "directory": str(directory), "verdict": None}
            store.begin(samples.run(**wanted))
            verdict = verdicts[number % len(verdicts)]
            if verdict is not None:
                store.finish(samples.run(**{**wanted, "verdict": verdict}))

    def add_delivery(self, delivery_id: str) -> None:
        """A delivery that was acted on."""
        values = {"forge": "github", "id": delivery_id, "event": "ping", "action": "", "repository": ""}
        values |= {"received_at": "2026-01-01T00:00:00.000+00:00", "body": '{"private": 1}', "state": "done"}
        values |= {"outcome": "nothing", "next_at": "2026-01-01T00:00:00.000+00:00"}
        with self.engine.begin() as connection:
            connection.execute(insert(DELIVERY).values(**values, attempts=0))


@functools.cache
def _migrated() -> bytes:
    """An empty store; its migrations are not what these tests are about, and take their time."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "store.sqlite"
        open_database(f"sqlite:///{path}", print).dispose()
        return path.read_bytes()


def _config(directory: Path, public_read: bool) -> Config:
    config = configuration(directory)
    api = config.api.model_copy(update={"public_read": public_read})
    return config.model_copy(update={"api": api})
