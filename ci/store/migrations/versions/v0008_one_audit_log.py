"""The audit log is the farm's, whose command line writes into it too: move what the service has noted."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Move the rows; the farm's tables are always brought up to date first."""
    op.execute(
        "INSERT INTO audit_log (at, actor, origin, action, subject, outcome, detail) "
        "SELECT at, actor, '', action, subject, 'done', detail FROM audit ORDER BY sequence"
    )
    op.drop_index("ix_audit_subject", "audit")
    op.drop_table("audit")


def downgrade() -> None:
    """Make the service's table again; what is in the farm's log stays there."""
    op.create_table(
        "audit",
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_index("ix_audit_subject", "audit", ["subject"])
