"""Schedules in the process of the service: missed nights are queued at start, once, though it is killed meanwhile."""

from __future__ import annotations

import random
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, update

from ci.store.engine import open_database
from ci.store.states import JobState
from ci.store.tables import JOB, SCHEDULE
from farm import timestamps
from farm.store.engine import transaction
from tests.ci.configuration import TEXT
from tests.ci.farm_serve import FarmServe
from tests.fakes.github_api import GitHubApi
from tests.fakes.pulls import sha
from tests.fakes.served import served
from tests.waiting import until

pytestmark = pytest.mark.service

NIGHTS = """
[[schedule]]
name = "sweep"
cron = "30 2 * * *"
kind = "sweep"
repository = "octo-org/kernels"

[[schedule]]
name = "baseline"
cron = "0 4 * * *"
kind = "baseline"
repository = "octo-org/kernels"
"""


@pytest.mark.parametrize("kills", [1, pytest.param(5, marks=pytest.mark.long)])
def test_a_service_killed_at_random_queues_each_missed_night_once(tmp_path: Path, kills: int) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'store.sqlite'}", print)
    moment, api = random.Random(20261125), GitHubApi()
    api.heads = {"main": sha(7)}
    with served(api.app()) as url:
        (tmp_path / "farm.toml").write_text(TEXT.format(api_url=url, at_once=0) + NIGHTS)
        miss_nights(engine)
        service = FarmServe(tmp_path)
        for _ in range(kills):
            time.sleep(moment.uniform(0, 0.4))
            service.end(signal.SIGKILL)
            settle(engine)
            miss_nights(engine)
            service.start()
        until(lambda: all(done(engine)), what="the queueing of every night")
        service.end(signal.SIGTERM)

    assert api.problems == []
    found = jobs(engine)
    assert {job.head_sha for job in found if job.kind == "baseline"} == {sha(7)}
    for kind in ("sweep", "baseline"):
        mine = [job for job in found if job.kind == kind]
        assert len([job for job in mine if job.state != JobState.DONE.value]) == 1, "doubled"
        assert len(mine) <= kills + 1, "doubled"


def miss_nights(engine: Engine) -> None:
    """Both schedules were carried out three days ago, and not since."""
    ago = timestamps.as_text(timestamps.utc_now() - timedelta(days=3))
    with transaction(engine, "written", write=True) as connection:
        for name, cron in (("sweep", "30 2 * * * UTC"), ("baseline", "0 4 * * * UTC")):
            moved = update(SCHEDULE).where(SCHEDULE.c.name == name).values(done_until=ago)
            if not connection.execute(moved).rowcount:
                connection.execute(insert(SCHEDULE).values(name=name, cron=cron, done_until=ago))


def settle(engine: Engine) -> None:
    """Whatever is in the queue has got its verdict, so that the next night is another job."""
    with transaction(engine, "written", write=True) as connection:
        connection.execute(update(JOB).values(state=JobState.DONE.value))


def done(engine: Engine) -> list[bool]:
    """Of each schedule, whether it has been carried out today."""
    with transaction(engine, "read") as connection:
        today = timestamps.as_text(timestamps.utc_now() - timedelta(days=1))
        return [each > today for each in connection.execute(select(SCHEDULE.c.done_until)).scalars()]


def jobs(engine: Engine) -> list[Any]:
    with transaction(engine, "read") as connection:
        return list(connection.execute(select(JOB)).all())
