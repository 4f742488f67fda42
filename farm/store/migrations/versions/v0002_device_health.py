"""Devices by platform and id, how fit each is, and the log of what happened on them.

Until now a device was known by its id alone, so two platforms on one node took each other's rows. SQLite cannot change
a primary key, so the table is made again and filled from the old one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table again with its rows, and the log."""
    op.create_table(
        "device_new",
        sa.Column("platform", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("soc", sa.Text, nullable=False, server_default=""),
        sa.Column("card", sa.Text, nullable=False, server_default=""),
        sa.Column("last_seen", sa.Text, nullable=False),
        sa.Column("last_run", sa.Text, nullable=False, server_default=""),
        sa.Column("state", sa.Text, nullable=False, server_default="healthy"),
        sa.Column("since", sa.Text, nullable=False, server_default=""),
        sa.Column("why", sa.Text, nullable=False, server_default=""),
        sa.Column("cause", sa.Text),
        sa.Column("faults_in_row", sa.Integer, nullable=False, server_default="0"),
        sa.Column("failed_last", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("clean_canaries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("counts_after", sa.Text, nullable=False, server_default=""),
        sa.Column("last_event_at", sa.Text, nullable=False, server_default=""),
    )
    columns = "platform, id, node, soc, last_seen, last_run"
    op.execute(f"INSERT INTO device_new ({columns}) SELECT {columns} FROM device")
    op.drop_table("device")
    op.rename_table("device_new", "device")
    op.create_table(
        "device_event",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("platform", sa.Text, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
    )
    op.create_index("ix_device_event_platform_device_id", "device_event", ["platform", "device", "id"])


def downgrade() -> None:
    """Back to ids alone: of two platforms' rows the one seen last is kept, and what is known of health is lost."""
    op.drop_table("device_event")
    op.create_table(
        "device_old",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("soc", sa.Text, nullable=False),
        sa.Column("platform", sa.Text, nullable=False),
        sa.Column("last_seen", sa.Text, nullable=False),
        sa.Column("last_run", sa.Text, nullable=False),
    )
    columns = "id, node, soc, platform, last_seen, last_run"
    newer = "newer.id = device.id AND (newer.last_seen, newer.platform) > (device.last_seen, device.platform)"
    op.execute(
        f"INSERT INTO device_old ({columns}) SELECT {columns} FROM device "
        f"WHERE NOT EXISTS (SELECT 1 FROM device AS newer WHERE {newer})"
    )
    op.drop_table("device")
    op.rename_table("device_old", "device")
