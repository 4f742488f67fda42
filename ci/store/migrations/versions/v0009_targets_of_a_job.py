"""The targets of a job, so that a service that continues it after a crash repeats none that has its verdict."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the table. A job without rows has the one run that its own row names."""
    op.create_table(
        "job_target",
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("terms", sa.Text, nullable=False),
        sa.Column("changed_only", sa.Boolean, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("started_at", sa.Text),
        sa.Column("finished_at", sa.Text),
    )
    op.create_index("ix_job_target_job_id_position", "job_target", ["job_id", "position"], unique=True)
    op.create_index("ix_job_target_run_id", "job_target", ["run_id"])


def downgrade() -> None:
    """Remove it."""
    op.drop_index("ix_job_target_run_id", "job_target")
    op.drop_index("ix_job_target_job_id_position", "job_target")
    op.drop_table("job_target")
