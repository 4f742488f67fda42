"""The clock: queues what each [[schedule]] asks for when it is due.

How far a schedule has been carried out is a row in the store, moved in the transaction that queues its job. So whenever
the process dies, what is due is queued once; whatever was missed while nobody ran is caught up once, however often it
would have come; and of several processes one is the faster.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from sqlalchemy import Connection, Engine, insert, select, update

from ci.config.repository import RepositorySection
from ci.config.schedule import Schedule
from ci.config.settings import Config
from ci.errors import ForgeError
from ci.forge.protocol import Forge
from ci.queue.intents import Validate
from ci.queue.job_queue import Queue
from ci.queue.options import JobOptions, SweepTerms
from ci.store.states import JobKind
from ci.store.tables import SCHEDULE
from farm import timestamps
from farm.errors import FarmError
from farm.model.priority import Priority
from farm.store.engine import transaction

LOG = logging.getLogger(__name__)

_LOOK_AGAIN_S = 20.0  # a cron expression counts minutes; and a machine that slept wakes up late


class Scheduler:
    """Carries out the schedules of one configuration. Several processes may each have one."""

    def __init__(
        self, engine: Engine, config: Config, forges: Mapping[str, Forge], queued: Callable[[], None] = lambda: None
    ) -> None:
        """`queued` is called, on the event loop, whenever there is a new job."""
        self._engine = engine
        self._config = config
        self._forges = forges
        self._queued = queued

    async def run(self) -> None:
        """Queue until cancelled."""
        while self._config.schedule:
            try:
                await self.queue_due(timestamps.utc_now())
            except FarmError as error:  # the store is away; what is due stays due
                LOG.error("schedules cannot be looked up: %s", error)
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def queue_due(self, now: datetime) -> int:
        """Queue what is due at `now`; how many schedules were."""
        due = await asyncio.to_thread(self.due, now)
        count = 0
        for schedule, seen in due:
            try:
                asked = await self.asked(schedule)
            except ForgeError as error:  # it stays due, and is caught up
                LOG.warning("schedule %s waits for the forge: %s", schedule.name, error)
                continue
            count += await asyncio.to_thread(self.queue, schedule, seen, now, asked)
        if count:
            self._queued()
        return count

    def due(self, now: datetime) -> list[tuple[Schedule, str]]:
        """Schedules that are due, each with how far it has been carried out; new ones begin to count now."""
        due = []
        with transaction(self._engine, "read") as connection:
            known = {row.name: row for row in connection.execute(select(SCHEDULE)).all()}
        for schedule in self._config.schedule:
            row = known.get(schedule.name)
            if row is None or row.cron != _expression(schedule):
                with transaction(self._engine, "written", write=True) as connection:
                    _begin(connection, schedule, now)
            elif schedule.next_after(datetime.fromisoformat(row.done_until)) <= now:
                due.append((schedule, str(row.done_until)))
        return due

    async def asked(self, schedule: Schedule) -> Validate:
        """What `schedule` wants in the queue. Raises `ForgeError`."""
        if schedule.kind == "sweep":
            return _validate(JobKind.SWEEP, f"schedule/{schedule.name}", "", "")
        head = await self._forges[schedule.forge].branch_head(schedule.repository, schedule.branch)
        return _validate(JobKind.BASELINE, f"refs/heads/{schedule.branch}", head, schedule.branch)

    def queue(self, schedule: Schedule, seen: str, now: datetime, asked: Validate) -> bool:
        """Put it in the queue, unless another process was faster; whether it was put there."""
        repository = self._config.find(schedule.forge, schedule.repository)
        assert repository is not None, "held by Schedule"
        mine = (SCHEDULE.c.name == schedule.name, SCHEDULE.c.done_until == seen)
        with transaction(self._engine, "written", write=True) as connection:
            moved = update(SCHEDULE).where(*mine).values(done_until=timestamps.as_text(now))
            if not connection.execute(moved).rowcount:
                return False
            outcome = Queue(connection, self._config, repository).schedule(asked, _options(schedule, repository))
        LOG.info("schedule %s was due: %s", schedule.name, outcome)
        return True


def _begin(connection: Connection, schedule: Schedule, now: datetime) -> None:
    values = {"cron": _expression(schedule), "done_until": timestamps.as_text(now)}
    changed = update(SCHEDULE).where(SCHEDULE.c.name == schedule.name).values(values)
    if not connection.execute(changed).rowcount:
        connection.execute(insert(SCHEDULE).values(name=schedule.name, **values))


def _expression(schedule: Schedule) -> str:
    return f"{schedule.cron} {schedule.timezone}"


def _validate(kind: JobKind, subject: str, head_sha: str, branch: str) -> Validate:
    return Validate(
        kind=kind,
        subject=subject,
        number=None,
        head_sha=head_sha,
        base_sha="",
        base_ref=branch,
        from_fork=False,
        author="",
        priority=Priority.NIGHTLY,
    )


def _options(schedule: Schedule, repository: RepositorySection) -> JobOptions:
    cases = schedule.cases or repository.cases
    targets = [schedule.target] if schedule.target else []
    if schedule.kind == "baseline":
        return JobOptions(devices=schedule.devices, cases=cases, targets=targets, schedule=schedule.name)
    terms = SweepTerms(seeds=schedule.seeds, repeats=schedule.repeats, budget_minutes=schedule.budget_minutes)
    return JobOptions(devices=schedule.devices, cases=cases, targets=targets, schedule=schedule.name, sweep=terms)
