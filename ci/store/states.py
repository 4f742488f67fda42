"""The closed sets of words in the gate's tables."""

from __future__ import annotations

import enum


class DeliveryState(str, enum.Enum):
    """How far a webhook delivery is."""

    RECEIVED = "received"
    DONE = "done"  # acted on, or found to ask for nothing
    FAILED = "failed"  # cannot be understood; a redelivery tries again


class JobKind(str, enum.Enum):
    """What asked for a job."""

    PULL_REQUEST = "pull-request"
    MERGE_GROUP = "merge-group"
    BASELINE = "baseline"  # a push to the default branch
    COMMIT = "commit"  # asked for by name, through the API
    SWEEP = "sweep"  # of no commit: all healthy devices run the kernel that is installed


class JobState(str, enum.Enum):
    """How far a validation is."""

    HELD = "held"  # comes from outside; waits for someone with write access to approve this very commit
    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"  # runs, and is to stop
    DONE = "done"
    CANCELLED = "cancelled"


OPEN = (JobState.HELD, JobState.QUEUED, JobState.RUNNING)  # may still get a verdict
UNDER_WAY = (*OPEN, JobState.CANCELLING)  # not over


class TargetState(str, enum.Enum):
    """How far one target of a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"


class Operation(str, enum.Enum):
    """What an outbox row does, and what its payload is."""

    CHECK = "check"
    COMMENT = "comment"
    ISSUE = "issue"
    NOTICE = "notice"  # not at the forge, but through a [[notify]]


class OutboxState(str, enum.Enum):
    """How far an outbox row is."""

    PENDING = "pending"
    SENT = "sent"
    SUPERSEDED = "superseded"  # never sent: a later row of its key says all it would have said
    REFUSED = "refused"  # the forge will not do it, ever


class Scope(str, enum.Enum):
    """What a token is good for. None includes another."""

    READ = "read"  # runs and their files, jobs, devices, metrics
    SUBMIT = "submit"  # jobs: submit, cancel, retry
    ADMIN = "admin"  # what forges delivered; devices: quarantine, release


class Event(str, enum.Enum):
    """The events that a channel may choose. Nothing is sent that was not chosen."""

    PASSED = "passed"
    FAILED = "failed"  # the kernel's fault
    ERRORED = "errored"  # the farm's or a device's
    HELD = "held"  # waits for somebody to approve it
    ALARM = "alarm"  # several jobs in a row errored, or no device is left: nothing can be merged until that is repaired
    NIGHT_BROKEN = "night-broken"  # what a schedule asked for did not pass, and passed the time before
    NIGHT_MENDED = "night-mended"  # it passes again
    DEVICE_OUT = "device-out"  # the job's run has put devices into quarantine
