"""Who has done what, which job retries which, and which jobs nobody wants a verdict of any more."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table, and add the columns."""
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
    op.add_column("job", sa.Column("withdrawn", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("job", sa.Column("retry_of", sa.Text))
    op.create_index("ix_job_retry_of", "job", ["retry_of"], unique=True)


def downgrade() -> None:
    """Take them away."""
    op.drop_index("ix_job_retry_of", "job")
    op.drop_column("job", "retry_of")
    op.drop_column("job", "withdrawn")
    op.drop_table("audit")
