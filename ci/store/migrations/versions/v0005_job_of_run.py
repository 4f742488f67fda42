"""The job a run was made for, without reading all jobs."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the index."""
    op.create_index("ix_job_run_id", "job", ["run_id"])


def downgrade() -> None:
    """Take it away."""
    op.drop_index("ix_job_run_id", "job")
