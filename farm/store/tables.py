"""The store's tables. `farm/migrations` makes them; a test holds the two together.

Records are kept as JSON text beside the few columns that queries need. Trials have rows of their own and are left out
of the run's JSON, so that each is durable the moment it is measured and nothing is kept twice.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, Table, Text, false

REVISION = "0009"  # newest migration; a test compares it with the scripts

METADATA = MetaData(naming_convention={"ix": "ix_%(table_name)s_%(column_0_name)s"})

RUN = Table(
    "run",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("verdict", Text),  # NULL while it runs; set once, never changed
    Column("reason", Text, nullable=False),
    Column("kernel", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("commit", Text, nullable=False, index=True),
    Column("started_at", Text, nullable=False, index=True),
    Column("finished_at", Text),
    Column("owner", Text, nullable=False),  # farm.process.identity.Owner as JSON
    Column("record", Text, nullable=False),  # RunRecord as JSON, without its trials
    Column("heard", Float),  # last sign of life while it runs, seconds of the database's clock; NULL: it gives none
    Index("ix_run_kernel_platform_started_at", "kernel", "platform", "started_at"),
    Index("ix_run_verdict_started_at", "verdict", "started_at"),
)

TRIAL = Table(
    "trial",
    METADATA,
    Column("id", Integer, primary_key=True),  # order of arrival
    Column("run_id", Text, ForeignKey("run.id"), nullable=False, index=True),
    Column("case", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("repeat", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("wall_us", Float),  # of `clock`
    Column("clock", Text, nullable=False),
    Column("record", Text, nullable=False),  # TrialRecord as JSON
    Column("fingerprint", Text, index=True),  # of its compiled program; NULL where it names none
)

# One row a device, that is a node, an index and the platform it was used through. The second block is what the device's
# events add up to (`Health`), written in the transaction that adds the event, so the two cannot disagree.
DEVICE = Table(
    "device",
    METADATA,
    Column("platform", Text, primary_key=True),
    Column("id", Text, primary_key=True),  # "node/index"
    Column("node", Text, nullable=False),
    Column("soc", Text, nullable=False, server_default=""),  # "" until somebody has looked
    Column("card", Text, nullable=False, server_default=""),
    Column("last_seen", Text, nullable=False),  # ISO 8601, UTC
    Column("last_run", Text, nullable=False, server_default=""),  # "" where no run has held it
    Column("state", Text, nullable=False, server_default="healthy"),
    Column("since", Text, nullable=False, server_default=""),
    Column("why", Text, nullable=False, server_default=""),
    Column("cause", Text),
    Column("faults_in_row", Integer, nullable=False, server_default="0"),
    Column("failed_last", Boolean, nullable=False, server_default=false()),
    Column("clean_canaries", Integer, nullable=False, server_default="0"),
    Column("counts_after", Text, nullable=False, server_default=""),
    Column("last_event_at", Text, nullable=False, server_default=""),
    Column("identity", Text, nullable=False, server_default=""),  # of the card in it; "" until a worker has told
)

# Cards that are in no slot now, as far as anybody has seen.
CARD = Table(
    "card",
    METADATA,
    Column("platform", Text, primary_key=True),
    Column("identity", Text, primary_key=True),  # kernel.platforms.protocol.Identified
    Column("last_device", Text, nullable=False),
    Column("state", Text, nullable=False),  # from here on as in DEVICE
    Column("since", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("cause", Text),
    Column("faults_in_row", Integer, nullable=False),
    Column("failed_last", Boolean, nullable=False),
    Column("clean_canaries", Integer, nullable=False),
    Column("counts_after", Text, nullable=False),
    Column("last_event_at", Text, nullable=False),
)

# Devices that people have for programs of their own, with `farm lease`. A row goes when its lease ends.
LEASE = Table(
    "lease",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("platform", Text, nullable=False),
    Column("devices", Text, nullable=False),  # their ids, a JSON list
    Column("who", Text, nullable=False),
    Column("program", Text, nullable=False),  # its name; arguments may hold secrets
    Column("started_at", Text, nullable=False),  # ISO 8601, UTC
    Column("until", Text, nullable=False),  # the same
    Column("owner", Text, nullable=False),  # farm.process.identity.ProcessIdentity as JSON
)

# Append-only: what happened on each device, in the order it was taken in.
DEVICE_EVENT = Table(
    "device_event",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("platform", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("at", Text, nullable=False),  # ISO 8601 with its zone
    Column("kind", Text, nullable=False),  # farm.model.device_health.EventKind
    Column("reason", Text, nullable=False),
    Column("run_id", Text, nullable=False),  # "" where no run was involved; no key, an event may come before its run
    Column("state", Text, nullable=False),  # the device's, once this had happened
    Column("identity", Text, nullable=False, server_default=""),  # of the card it happened to; "" where nobody knew
    Index("ix_device_event_identity_id", "identity", "id"),
    Index("ix_device_event_platform_device_id", "platform", "device", "id"),
    Index("ix_device_event_platform_at", "platform", "at", "device", "kind"),  # the fault rate reads nothing else
)

# What people and programs have done that somebody may ask about later. Rows are only added.
AUDIT_LOG = Table(
    "audit_log",
    METADATA,
    Column("sequence", Integer, primary_key=True),
    Column("at", Text, nullable=False),  # ISO 8601, UTC
    Column("actor", Text, nullable=False),  # these as in farm.model.audit
    Column("origin", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Index("ix_audit_log_subject", "subject"),
)
