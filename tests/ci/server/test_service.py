"""The whole service as a process: killed at any moment, it loses no delivery and says nothing twice."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from ci.store.engine import open_database
from ci.store.tables import JOB, OUTBOX
from farm import timestamps
from farm.store.engine import transaction
from tests.ci.configuration import ENVIRONMENT, configuration
from tests.ci.deliveries import deliver
from tests.ci.farm_serve import FarmServe
from tests.fakes.github_api import Fault, GitHubApi
from tests.fakes.pulls import pull, sha
from tests.fakes.served import served
from tests.waiting import until

pytestmark = pytest.mark.service


@pytest.fixture
def api() -> Iterator[GitHubApi]:
    api = GitHubApi()
    yield api
    assert api.problems == []


def test_killed_at_any_moment_it_loses_no_delivery_and_makes_no_check_twice(tmp_path: Path, api: GitHubApi) -> None:
    with served(api.app()) as url:
        configuration(tmp_path, url)
        process = FarmServe(tmp_path)
        for number in range(1, 7):
            api.pulls[number] = pull(number, 100 + number)
            deliver(process.url, api.pulls[number])
            if number % 3 == 0:
                process.end(signal.SIGKILL)
                _expire_claims(process.store)
                process.start()
        until(lambda: len(api.checks) >= 6)
        process.end(signal.SIGTERM)

    heads = sorted(str(check["head_sha"]) for check in api.checks.values())
    assert heads == [sha(100 + number) for number in range(1, 7)]
    with transaction(open_database(process.store, print), "read") as connection:
        assert sorted(connection.execute(select(JOB.c.number)).scalars()) == list(range(1, 7))


def _expire_claims(store: str) -> None:
    """Two minutes pass."""
    engine = open_database(store, print)
    with transaction(engine, "written", write=True) as connection:
        connection.execute(update(OUTBOX).values(next_at=timestamps.as_text(timestamps.utc_now())))
    engine.dispose()


def test_what_happened_while_it_was_down_is_found_at_start(tmp_path: Path, api: GitHubApi) -> None:
    api.faults.append(Fault(502, method="POST"))  # the forge has its own bad moment, too
    api.pulls = {7: pull(7, 5), 8: pull(8, 50, draft=True)}
    with served(api.app()) as url:
        configuration(tmp_path, url)
        process = FarmServe(tmp_path)
        until(lambda: bool(api.checks))
        process.end(signal.SIGTERM)

    assert [check["head_sha"] for check in api.checks.values()] == [sha(5)]
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert not [secret for secret in ENVIRONMENT.values() if secret in (tmp_path / "log").read_text()]
