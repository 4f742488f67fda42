"""What is told, and of which events. Pure."""

from __future__ import annotations

import enum

from jobs.records import Record

STALE_S = 86_400.0  # a notice that has not got through within a day is no news any more


class Event(str, enum.Enum):
    """What a channel may choose to hear of. Nothing is told that was not chosen."""

    PASSED = "passed"
    FAILED = "failed"  # the kernel's fault
    ERRORED = "errored"  # the farm's or a device's
    HELD = "held"  # waits for somebody to approve it
    NIGHT_BROKEN = "night-broken"  # what a schedule asked for did not pass, and passed the time before
    NIGHT_MENDED = "night-mended"  # it passes again
    DEVICE_OUT = "device-out"  # the job's run has put devices into quarantine


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
