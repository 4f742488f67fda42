"""Somebody hears when the gate blocks everything and no commit is why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from ci.config.settings import Config
from ci.queue.claims import Claims
from ci.queue.intents import Validate
from ci.queue.job_queue import Queue
from ci.queue.outcome import JobOutcome
from ci.server.metrics import Metrics
from ci.store.engine import open_database
from ci.store.states import JobKind
from ci.store.tables import OUTBOX
from farm import timestamps
from farm.model.device_health import EventKind, HealthEvent
from farm.model.priority import Priority
from farm.model.run import Verdict
from farm.process import identity
from farm.store import health_store
from farm.store.engine import transaction
from tests.ci.configuration import ENVIRONMENT, TEXT, written

CHANNEL = """
[[notify]]
name = "ours"
kind = "webhook"
events = ["alarm"]
url = { env = "TOKEN_URL" }
secret = { env = "SECRET" }
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setitem(ENVIRONMENT, "TOKEN_URL", "https://x.org/y")
    return written(tmp_path, TEXT.format(api_url="https://api.github.com", at_once=0) + CHANNEL)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_database(f"sqlite:///{tmp_path / 'store.sqlite'}", print)
    yield made
    made.dispose()


def end(engine: Engine, config: Config, *verdicts: Verdict) -> None:
    """Jobs that end so, one after the other."""
    repository = config.find("github", "octo-org/kernels")
    assert repository is not None
    claims = Claims(engine, config, identity.current())
    for verdict in verdicts:
        commit = ("pull/7", 7, timestamps.new_id().encode().hex()[:40].ljust(40, "0"), "1" * 40, "main")
        asked = Validate(JobKind.PULL_REQUEST, *commit, False, "ann", Priority.PULL_REQUEST)
        with transaction(engine, "written", write=True) as connection:
            Queue(connection, config, repository).validate(asked)
        [claim] = claims.take(1)
        claims.settle(claim, JobOutcome(verdict, f"it is {verdict.value}"))


def notices(engine: Engine) -> list[str]:
    with transaction(engine, "read") as connection:
        return list(connection.execute(select(OUTBOX.c.payload).where(OUTBOX.c.operation == "notice")).scalars())


BAD, GOOD = Verdict.ERRORED, Verdict.PASSED


@pytest.mark.parametrize(
    ("verdicts", "told"),
    [
        ((BAD, BAD), 0),
        ((BAD, BAD, BAD), 1),
        ((BAD, BAD, BAD, BAD, BAD), 1),  # once for each such row
        ((BAD, BAD, GOOD, BAD, BAD), 0),
        ((BAD, BAD, Verdict.FAILED, BAD, BAD), 0),  # a verdict: the farm works
        ((BAD, BAD, BAD, GOOD, BAD, BAD, BAD), 2),
    ],
)
def test_jobs_that_error_one_after_the_other_are_an_alarm(
    engine: Engine, config: Config, verdicts: tuple[Verdict, ...], told: int
) -> None:
    end(engine, config, *verdicts)

    assert len(notices(engine)) == told
    assert all("3 jobs in a row ended errored" in notice for notice in notices(engine))


def test_a_platform_without_a_healthy_device_is_an_alarm(engine: Engine, config: Config) -> None:
    health_store.see(
        engine, "a2a3sim", [{"id": f"vm/{index}", "node": "vm", "soc": "", "card": ""} for index in (0, 1)]
    )
    out = [HealthEvent(f"vm/{index}", "a2a3sim", timestamps.now(), EventKind.QUARANTINED, "x") for index in (0, 1)]
    health_store.observe(engine, out[:1])
    end(engine, config, BAD)
    assert notices(engine) == []

    health_store.observe(engine, out[1:])
    end(engine, config, BAD)

    [notice] = notices(engine)
    assert "platform a2a3sim has no healthy device left" in notice


def test_both_can_be_seen_by_prometheus(engine: Engine, config: Config) -> None:
    health_store.see(engine, "a2a3sim", [{"id": "vm/0", "node": "vm", "soc": "", "card": ""}])
    end(engine, config, GOOD, BAD, BAD)

    text = Metrics(engine).text().decode()

    assert "farm_jobs_errored_in_a_row 2.0" in text
    assert 'farm_devices_usable{platform="a2a3sim"} 1.0' in text
