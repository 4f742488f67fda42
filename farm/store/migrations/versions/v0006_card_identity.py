"""Which card is in each slot, and how fit the cards are that were taken out of one."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the columns and the table. What is known so far belongs to the slots, and to the card that is seen there."""
    op.add_column("device", sa.Column("identity", sa.Text, nullable=False, server_default=""))
    op.add_column("device_event", sa.Column("identity", sa.Text, nullable=False, server_default=""))
    op.create_index("ix_device_event_identity_id", "device_event", ["identity", "id"])
    op.create_table(
        "card",
        sa.Column("platform", sa.Text, primary_key=True),
        sa.Column("identity", sa.Text, primary_key=True),
        sa.Column("last_device", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("since", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("cause", sa.Text),
        sa.Column("faults_in_row", sa.Integer, nullable=False),
        sa.Column("failed_last", sa.Boolean, nullable=False),
        sa.Column("clean_canaries", sa.Integer, nullable=False),
        sa.Column("counts_after", sa.Text, nullable=False),
        sa.Column("last_event_at", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Take them away."""
    op.drop_table("card")
    op.drop_index("ix_device_event_identity_id", "device_event")
    for table in ("device_event", "device"):
        with op.batch_alter_table(table) as changed:
            changed.drop_column("identity")
