"""Puts notices of jobs into the outbox, one for each channel that has chosen the event."""

from __future__ import annotations

from sqlalchemy import Connection, Row

from ci.config.settings import Config
from ci.notify.notice import Notice
from ci.outbox import outbox
from ci.store.states import Event
from farm import timestamps
from farm.model.run import Verdict

EVENTS = {Verdict.PASSED: Event.PASSED, Verdict.FAILED: Event.FAILED, Verdict.ERRORED: Event.ERRORED}


def post(connection: Connection, config: Config, job: Row[tuple[object, ...]], event: Event, reason: str) -> None:
    """Queue a notice in the caller's transaction, that of the change it reports. `reason` becomes one line."""
    wanting = [section for section in config.notify if section.wants(event, str(job.repository))]
    if not wanting:
        return
    what = f"{job.repository} {job.subject}" + (f" {str(job.head_sha)[:12]}" if job.head_sha else "")
    notice = Notice(
        id=f"{job.id}-{event.value}",
        event=event,
        at=timestamps.as_text(timestamps.utc_now()),
        title=f"{event.value}: {what}",
        reason=" ".join(reason.split()),
        forge=str(job.forge),
        repository=str(job.repository),
        subject=str(job.subject),
        head_sha=str(job.head_sha),
        author=str(job.author),
        job=str(job.id),
        run=str(job.run_id),
        url=f"{str(config.server.public_url).rstrip('/')}/jobs/{job.id}",
    )
    for section in wanting:
        addressee = f"notify/{section.name}"
        outbox.post(connection, f"notice/{section.name}/{notice.id}", addressee, notice.repository, notice)
