"""The store's tables. `farm/migrations` makes them; a test holds the two together.

Records are kept as JSON text beside the few columns that queries need. Trials have rows of their own and are left out
of the run's JSON, so that each is durable the moment it is measured and nothing is kept twice.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Integer, MetaData, Table, Text

REVISION = "0001"  # newest migration; a test compares it with the scripts

METADATA = MetaData(naming_convention={"ix": "ix_%(table_name)s_%(column_0_name)s"})

RUN = Table(
    "run",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("verdict", Text, index=True),  # NULL while it runs; set once, never changed
    Column("reason", Text, nullable=False),
    Column("kernel", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("commit", Text, nullable=False),
    Column("started_at", Text, nullable=False, index=True),
    Column("finished_at", Text),
    Column("owner", Text, nullable=False),  # farm.owner.Owner as JSON
    Column("record", Text, nullable=False),  # RunRecord as JSON, without its trials
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
)

DEVICE = Table(
    "device",
    METADATA,
    Column("id", Text, primary_key=True),  # "node/index"
    Column("node", Text, nullable=False),
    Column("soc", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("last_seen", Text, nullable=False),  # ISO 8601, UTC
    Column("last_run", Text, nullable=False),
)
