"""The content of notices, for each event. Pure."""

from __future__ import annotations

from ci.store.states import Event
from jobs.records import Record

STALE_S = 86_400.0  # a notice that was not delivered within a day is out of date


class Notice(Record):
    """One thing that happened to one job."""

    id: str  # the same whenever it is sent again
    event: Event
    at: str  # ISO 8601, UTC
    title: str  # one line
    reason: str  # one line
    forge: str
    repository: str
    subject: str  # "pull/7", a full ref name, "commit/SHA" or "schedule/NAME"
    head_sha: str  # "" of a sweep
    author: str  # "" where nobody is
    job: str
    run: str  # "" where none began
    url: str  # of the job's page

    @property
    def text(self) -> str:
        """For people, in plain text: title, reason, link."""
        return "\n".join(line for line in (self.title, self.reason, self.url) if line)
