"""Alarms people when the gate itself does not work: it then blocks every merge, and no commit is the reason."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Row, func, select

from ci.config.settings import Config
from ci.queue import notifications
from ci.store.states import Event, JobState
from ci.store.tables import JOB
from farm.model.device_health import DeviceState
from farm.model.run import Verdict
from farm.store.tables import DEVICE


def errored_in_a_row(connection: Connection) -> int:
    """How many jobs ended errored since the last one that had a verdict on its commit."""
    done = JOB.c.state == JobState.DONE.value
    judged = select(func.max(JOB.c.finished_at)).where(done, JOB.c.verdict != Verdict.ERRORED.value)
    last = connection.execute(judged).scalar() or ""
    errored = (done, JOB.c.verdict == Verdict.ERRORED.value, JOB.c.finished_at > last)
    return int(connection.execute(select(func.count()).select_from(JOB).where(*errored)).scalar() or 0)


def usable_devices(connection: Connection) -> dict[str, int]:
    """Platform → how many of its known devices may be given work."""
    query = select(DEVICE.c.platform, DEVICE.c.state, func.count()).group_by(DEVICE.c.platform, DEVICE.c.state)
    usable: dict[str, int] = {}
    for platform, state, number in connection.execute(query):
        usable.setdefault(str(platform), 0)
        usable[str(platform)] += 0 if state == DeviceState.QUARANTINED.value else int(number)
    return usable


def settled(connection: Connection, config: Config, job: Row[tuple[object, ...]], platforms: Sequence[str]) -> None:
    """A job has ended errored: post a notice, in the same transaction, where that makes one too many."""
    most = config.runner.alarm_after
    if errored_in_a_row(connection) == most:  # once for each such row of jobs
        reason = f"{most} jobs in a row ended errored; no commit can be merged until the farm is repaired"
        notifications.post(connection, config, job, Event.ALARM, reason)
        return
    usable = usable_devices(connection)
    without = [platform for platform in platforms if usable.get(platform) == 0]
    if without:
        reason = f"platform {', '.join(without)} has no healthy device left; release one, or repair them"
        notifications.post(connection, config, job, Event.ALARM, reason)
