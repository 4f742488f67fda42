"""Schedules: which are refused, when they are due, and that each due time is queued once whatever happens."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select, update

from ci.config.schedule import Schedule
from ci.config.settings import Config, load
from ci.errors import ConfigError, ForgeUnavailableError
from ci.queue.options import JobOptions
from ci.queue.scheduler import Scheduler
from ci.store.engine import open_database
from ci.store.states import JobState
from ci.store.tables import JOB, OUTBOX, SCHEDULE
from farm.store.engine import transaction
from tests.ci.configuration import ENVIRONMENT, TEXT
from tests.fakes.pulls import sha

SWEEP = """
[[schedule]]
name = "nightly-sweep"
cron = "30 2 * * *"
kind = "sweep"
repository = "octo-org/kernels"
cases = ["tiny"]
seeds = 2
"""
BASELINE = """
[[schedule]]
name = "baseline"
cron = "0 4 * * sun"
kind = "baseline"
repository = "octo-org/kernels"
"""
NOON = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)  # a Wednesday
DAY = timedelta(days=1)


def configured(directory: Path, schedules: str) -> Config:
    path = directory / "farm.toml"
    path.write_text(TEXT.format(api_url="https://api.github.com", at_once=0) + schedules)
    return load(path, ENVIRONMENT)


class Heads:
    """Of a forge, only where its branches are."""

    def __init__(self) -> None:
        self.head = sha(1)
        self.down = False

    async def branch_head(self, repository: str, branch: str) -> str:
        """The newest commit, unless the forge is down."""
        if self.down:
            raise ForgeUnavailableError("GET: HTTP 502")
        return self.head


class Clock:
    """A scheduler whose time the test moves."""

    def __init__(self, directory: Path, schedules: str, engine: Engine) -> None:
        self.engine = engine
        self.forge = Heads()
        self.scheduler = Scheduler(engine, configured(directory, schedules), {"github": self.forge})  # type: ignore[dict-item]

    def at(self, moment: datetime) -> int:
        """How many schedules were queued when it was `moment`."""
        return asyncio.run(self.scheduler.queue_due(moment))

    def jobs(self) -> list[Any]:
        with transaction(self.engine, "read") as connection:
            return list(connection.execute(select(JOB).order_by(JOB.c.sequence)).all())

    def settle(self) -> None:
        """Everything in the queue gets its verdict."""
        with transaction(self.engine, "written", write=True) as connection:
            connection.execute(update(JOB).values(state=JobState.DONE.value))


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path / 'store.sqlite'}", print)


@pytest.fixture
def nights(tmp_path: Path, engine: Engine) -> Clock:
    return Clock(tmp_path, SWEEP, engine)


def test_a_sweep_is_queued_at_its_time_and_once(nights: Clock) -> None:
    nights.at(NOON)
    assert nights.jobs() == []
    assert nights.at(NOON + timedelta(hours=14, minutes=29)) == 0

    assert nights.at(NOON + timedelta(hours=14, minutes=30)) == 1
    assert nights.at(NOON + timedelta(hours=14, minutes=31)) == 0

    [job] = nights.jobs()
    assert (job.kind, job.subject, job.priority, job.state) == ("sweep", "schedule/nightly-sweep", "nightly", "queued")
    options = JobOptions.model_validate_json(job.options)
    assert options.sweep is not None
    assert (options.schedule, options.cases, options.sweep.seeds) == ("nightly-sweep", ["tiny"], 2)


def test_nights_missed_while_nobody_ran_are_caught_up_once(nights: Clock, tmp_path: Path) -> None:
    nights.at(NOON)

    restarted = Clock(tmp_path, SWEEP, nights.engine)
    assert restarted.at(NOON + 10 * DAY) == 1
    restarted.settle()
    assert restarted.at(NOON + 10 * DAY + timedelta(minutes=1)) == 0
    assert restarted.at(NOON + 11 * DAY) == 1
    assert len(restarted.jobs()) == 2


def test_a_new_schedule_begins_to_count_when_it_is_first_seen(nights: Clock) -> None:
    assert nights.at(NOON + 365 * DAY) == 0


def test_another_expression_begins_anew(nights: Clock, tmp_path: Path) -> None:
    nights.at(NOON)

    changed = Clock(tmp_path, SWEEP.replace("30 2", "0 13"), nights.engine)

    assert changed.at(NOON + 3 * DAY) == 0
    assert changed.at(NOON + 3 * DAY + timedelta(hours=1)) == 1


def test_a_night_that_is_not_over_is_not_queued_again(nights: Clock) -> None:
    nights.at(NOON)
    nights.at(NOON + DAY)
    nights.at(NOON + 2 * DAY)
    assert len(nights.jobs()) == 1

    nights.settle()
    nights.at(NOON + 3 * DAY)
    assert len(nights.jobs()) == 2


def test_a_sweep_is_of_no_commit_and_has_no_check(nights: Clock) -> None:
    nights.at(NOON)
    nights.at(NOON + DAY)

    with transaction(nights.engine, "read") as connection:
        assert connection.execute(select(OUTBOX)).all() == []


def test_a_baseline_is_of_the_newest_commit_of_its_branch(tmp_path: Path, engine: Engine) -> None:
    clock = Clock(tmp_path, BASELINE, engine)
    clock.at(NOON)
    clock.forge.head = sha(9)

    assert clock.at(NOON + 4 * DAY) == 1

    [job] = clock.jobs()
    assert (job.kind, job.subject, job.head_sha, job.base_ref) == ("baseline", "refs/heads/main", sha(9), "main")


def test_a_baseline_is_measured_again_though_its_commit_has_a_verdict(tmp_path: Path, engine: Engine) -> None:
    clock = Clock(tmp_path, BASELINE, engine)
    for week in range(3):
        clock.at(NOON + 7 * week * DAY)
        clock.settle()

    assert [job.head_sha for job in clock.jobs()] == [sha(1), sha(1)]


def test_a_forge_that_is_down_delays_a_baseline_and_loses_none(tmp_path: Path, engine: Engine) -> None:
    clock = Clock(tmp_path, BASELINE, engine)
    clock.at(NOON)
    clock.forge.down = True
    assert clock.at(NOON + 4 * DAY) == 0
    assert clock.jobs() == []

    clock.forge.down = False
    assert clock.at(NOON + 4 * DAY + timedelta(minutes=1)) == 1


def test_of_two_processes_one_queues(nights: Clock, tmp_path: Path) -> None:
    nights.at(NOON)
    [(schedule, seen)] = nights.scheduler.due(NOON + DAY)
    asked = asyncio.run(nights.scheduler.asked(schedule))
    assert Clock(tmp_path, SWEEP, nights.engine).at(NOON + DAY) == 1

    assert not nights.scheduler.queue(schedule, seen, NOON + DAY, asked)
    assert len(nights.jobs()) == 1


class _Killed(BaseException):
    """The process is gone; nothing of it runs any more."""


class _DyingEngine:
    """An engine whose process dies as its `steps`th statement is about to be executed."""

    def __init__(self, engine: Engine, steps: int) -> None:
        from sqlalchemy import event

        self.left = steps
        self._engine = engine
        self._event = event

    def _step(self, *_: object) -> None:
        self.left -= 1
        if self.left < 0:
            raise _Killed

    def __enter__(self) -> None:
        self._event.listen(self._engine, "before_cursor_execute", self._step)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._event.remove(self._engine, "before_cursor_execute", self._step)


def test_killed_at_any_statement_a_due_time_is_queued_exactly_once(nights: Clock, tmp_path: Path) -> None:
    nights.at(NOON)
    steps = died = 0
    while True:
        day = NOON + (steps + 1) * DAY
        try:
            with _DyingEngine(nights.engine, steps):
                nights.at(day)
        except _Killed:
            died += 1
        else:
            break
        Clock(tmp_path, SWEEP, nights.engine).at(day)  # the next process
        assert len(nights.jobs()) == steps + 1
        nights.settle()
        steps += 1

    assert died >= 4, "the scheduler has at least a read, an update, two looks and an insert to die at"
    with transaction(nights.engine, "read") as connection:
        assert len(connection.execute(select(SCHEDULE)).all()) == 1


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("30 2 * * *", "30 2 * *", "write five fields"),
        ("30 2 * * *", "61 2 * * *", "61"),
        ("30 2 * * *", "30 2 31 feb *", "there is no such day"),
        ("30 2 * * *", "30 2 * * 1-5", "days of the week by name"),
        ('"sweep"', '"dance"', "sweep"),
        ('"octo-org/kernels"', '"octo-org/other"', "no [[repository]]"),
        ('"tiny"', '"huge"', "no case huge"),
        ("seeds = 2", "seeds = 0", "seeds"),
        ("seeds = 2", "budget_minutes = 480", "limit_s"),
        ("seeds = 2", 'branch = "main"', "does not use branch"),
        ("seeds = 2", 'timezone = "Mars/Olympus"', "no such time zone"),
        ("nightly-sweep", "Nightly Sweep", "schedule.0.name"),
    ],
)
def test_a_wrong_schedule_is_refused_in_one_line(tmp_path: Path, right: str, wrong: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, SWEEP.replace(right, wrong))

    assert len(caught.value.problems) == 1
    assert words in str(caught.value)


def test_two_schedules_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="remembered by name"):
        configured(tmp_path, SWEEP + SWEEP)


def schedule(cron: str, zone: str = "UTC") -> Schedule:
    return Schedule.model_construct(name="x", cron=cron, timezone=zone)


@given(
    st.sampled_from(["30 2 * * *", "*/15 * * * *", "0 0 1 jan *", "0 4 * * mon-fri"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
    st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(timezone.utc)),
)
def test_the_next_time_is_always_later_and_there_is_none_between(cron: str, zone: str, moment: datetime) -> None:
    found = schedule(cron, zone).next_after(moment)

    assert found > moment
    assert schedule(cron, zone).next_after(moment + (found - moment) / 2) == found
    assert schedule(cron, zone).next_after(found) > found


def test_local_time_follows_the_clock_change() -> None:
    berlin = schedule("30 4 * * *", "Europe/Berlin")

    assert berlin.next_after(datetime(2026, 3, 28, 12, tzinfo=timezone.utc)).hour == 2
    assert berlin.next_after(datetime(2026, 3, 27, 12, tzinfo=timezone.utc)).hour == 3
