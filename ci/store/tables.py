"""The gate's tables, in the database of the farm's store. `ci/migrations` makes them; a test holds the two together.

Times are ISO 8601 in UTC, as everywhere in the store, so that comparing text compares times.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, MetaData, Table, Text, false

REVISION = "0009"  # newest migration; a test compares it with the scripts
VERSION_TABLE = "ci_version"  # beside the farm's own, so that neither migrates the other's tables

METADATA = MetaData()

# What a forge told us, in order of arrival. The row stays after its body is gone: its id refuses replays.
DELIVERY = Table(
    "delivery",
    METADATA,
    Column("sequence", Integer, primary_key=True),
    Column("forge", Text, nullable=False),  # name of the [forge.NAME]
    Column("id", Text, nullable=False),  # the forge's own
    Column("event", Text, nullable=False),
    Column("action", Text, nullable=False),  # "" for events without one
    Column("repository", Text, nullable=False),  # "owner/name"; "" for events of no repository
    Column("received_at", Text, nullable=False),
    Column("body", Text, nullable=False),  # JSON as it came
    Column("state", Text, nullable=False),  # ci.store.states.DeliveryState
    Column("outcome", Text, nullable=False),  # one line: what became of it, or why it is not done yet
    Column("attempts", Integer, nullable=False),
    Column("next_at", Text, nullable=False),  # not looked at before
    Index("ix_delivery_forge_id", "forge", "id", unique=True),
    Index("ix_delivery_state_sequence", "state", "sequence"),
)

# The queue: what is to be validated, and what became of it.
JOB = Table(
    "job",
    METADATA,
    Column("sequence", Integer, primary_key=True),  # order of arrival
    Column("id", Text, nullable=False, unique=True),  # also the check's external id
    Column("forge", Text, nullable=False),
    Column("repository", Text, nullable=False),
    Column("subject", Text, nullable=False),  # "pull/7", "refs/heads/gh-readonly-queue/…", "refs/heads/main"
    Column("kind", Text, nullable=False),  # ci.store.states.JobKind
    Column("number", Integer),  # of the pull request
    Column("head_sha", Text, nullable=False),
    Column("base_sha", Text, nullable=False),  # "" where the forge did not name one
    Column("base_ref", Text, nullable=False),  # branch it is to be merged into
    Column("from_fork", Boolean, nullable=False),
    Column("author", Text, nullable=False),
    Column("priority", Text, nullable=False),  # farm.model.priority.Priority
    Column("options", Text, nullable=False),  # ci.queue.options.JobOptions as JSON
    Column("state", Text, nullable=False),  # ci.store.states.JobState
    Column("reason", Text, nullable=False),  # one line: why it waits, was cancelled, or ended as it did
    Column("approved_by", Text, nullable=False),  # "" where nobody had to
    Column("run_id", Text, nullable=False),  # the farm's, chosen before the run begins; "" until then
    Column("verdict", Text, nullable=False, server_default=""),  # farm.model.run.Verdict; "" until it is done
    Column("attempts", Integer, nullable=False, server_default="0"),  # how often it was claimed
    Column("next_at", Text, nullable=False, server_default=""),  # not claimed before
    Column(
        "owner", Text, nullable=False, server_default=""
    ),  # farm.process.identity.Owner of the service that executes it
    Column(
        "process", Text, nullable=False, server_default=""
    ),  # farm.process.identity.Owner of its run; "" until that exists
    Column("seen_at", Text, nullable=False, server_default=""),  # when its service last said that it is there
    Column("stage", Text, nullable=False, server_default=""),  # what its run does now, one line; "" unless it runs
    Column("withdrawn", Boolean, nullable=False, server_default=false()),  # its pull request is closed or a draft
    Column("retry_of", Text),  # id of the job that this one retries; NULL: none. A job is retried once
    Column("created_at", Text, nullable=False),
    Column("started_at", Text),
    Column("finished_at", Text),
    Index("ix_job_state_sequence", "state", "sequence"),
    Index("ix_job_subject", "forge", "repository", "subject"),
    Index("ix_job_head_sha", "head_sha"),
    Index("ix_job_run_id", "run_id"),
    Index("ix_job_retry_of", "retry_of", unique=True),
)

# What a job runs, in order: one run after the other. A job without rows has at most the run that its own row names.
JOB_TARGET = Table(
    "job_target",
    METADATA,
    Column("sequence", Integer, primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("position", Integer, nullable=False),  # from 0 on
    Column("name", Text, nullable=False),
    Column("terms", Text, nullable=False),  # ci.config.target.Target as JSON; "" where a crash has lost them
    Column("changed_only", Boolean, nullable=False),  # of a suite only what the commit touches
    Column("state", Text, nullable=False),  # ci.store.states.TargetState
    Column("run_id", Text, nullable=False),  # "" until it runs
    Column("verdict", Text, nullable=False),  # farm.model.run.Verdict; "" until it is done
    Column("reason", Text, nullable=False),  # one line
    Column("started_at", Text),
    Column("finished_at", Text),
    Index("ix_job_target_job_id_position", "job_id", "position", unique=True),
    Index("ix_job_target_run_id", "run_id"),
)

# What forges and people are to be told. Rows of one key are sent in order, one at a time.
OUTBOX = Table(
    "outbox",
    METADATA,
    Column("sequence", Integer, primary_key=True),
    Column("key", Text, nullable=False),  # "check/JOB", "comment/FORGE/owner/name/7/report", "notice/CHANNEL/ID"
    Column("forge", Text, nullable=False),  # name of the [forge.NAME]; of a notice "notify/" and its channel's name
    Column("repository", Text, nullable=False),
    Column("operation", Text, nullable=False),  # ci.store.states.Operation
    Column("payload", Text, nullable=False),  # as JSON: what `ci.outbox.outbox.CONTENTS` has for the operation
    Column("state", Text, nullable=False),  # ci.store.states.OutboxState
    Column("attempts", Integer, nullable=False),  # raised before each sending, so that a crash is not forgotten
    Column("next_at", Text, nullable=False),  # not sent before; while it is being sent, the end of the claim
    Column("error", Text, nullable=False),  # of the last attempt
    Column("remote_id", Text, nullable=False),  # the forge's id of what was made; "" until then
    Column("created_at", Text, nullable=False),
    Column("done_at", Text),
    Index("ix_outbox_key_sequence", "key", "sequence"),
    Index("ix_outbox_state_next_at", "state", "next_at"),
)

# Who may use the API. A token itself is never kept.
TOKEN = Table(
    "token",
    METADATA,
    Column("sequence", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),  # for good: a revoked token keeps its name, as a log does
    Column("digest", Text, nullable=False, unique=True),  # SHA-256 of the token, hexadecimal
    Column("scopes", Text, nullable=False),  # ci.store.states.Scope, parted by spaces
    Column("created_at", Text, nullable=False),
    Column("expires_at", Text),  # NULL: never
    Column("revoked_at", Text),  # NULL: in force
)

# How far each [[schedule]] has been carried out.
SCHEDULE = Table(
    "schedule",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("cron", Text, nullable=False),  # expression and time zone; another one begins anew
    Column("done_until", Text, nullable=False),  # whatever was due until then is in the queue
)
