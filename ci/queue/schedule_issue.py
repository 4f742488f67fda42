"""Reports a schedule's jobs: one issue at the forge for each schedule, open while its last job did not pass."""

from __future__ import annotations

from sqlalchemy import Connection, Row

from ci.config.settings import Config
from ci.forge.markers import MARKER
from ci.forge.protocol import Issue
from ci.outbox import outbox
from ci.queue import notifications
from ci.queue.options import JobOptions
from ci.store.states import Event
from farm.model.run import Verdict

_LONGEST_TITLE = 200  # characters


def settled(
    connection: Connection, config: Config, job: Row[tuple[object, ...]], verdict: Verdict, reason: str, report: str
) -> None:
    """Report the verdict of a job, in the same transaction, in the schedule's issue. `report` is Markdown.

    A schedule whose job did not pass opens its issue or updates it; one that passes again closes it.
    """
    notifications.post(connection, config, job, notifications.EVENTS[verdict], reason)
    schedule = JobOptions.model_validate_json(str(job.options)).schedule
    if not schedule:
        return
    key = f"issue/{job.forge}/{job.repository}/{schedule}"
    before = outbox.newest(connection, key)
    was_broken = isinstance(before, Issue) and before.is_open
    broken = verdict is not Verdict.PASSED
    if not broken and not was_broken:
        return
    link = f"{str(config.server.public_url).rstrip('/')}/jobs/{job.id}"
    issue = _issue(schedule, verdict, reason, f"[The job]({link})\n\n{report}", is_open=broken)
    outbox.post(connection, key, str(job.forge), str(job.repository), issue)
    if broken != was_broken:
        notifications.post(connection, config, job, Event.NIGHT_BROKEN if broken else Event.NIGHT_MENDED, reason)


def _issue(schedule: str, verdict: Verdict, reason: str, body: str, *, is_open: bool) -> Issue:
    title = " ".join(f"{schedule} {verdict.value}: {reason}".split())
    title = title if len(title) <= _LONGEST_TITLE else f"{title[: _LONGEST_TITLE - 1]}…"
    return Issue(marker=f"{MARKER} schedule {schedule} -->", title=title, body=body, is_open=is_open)
