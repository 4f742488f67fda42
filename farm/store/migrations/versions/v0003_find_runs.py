"""Runs by kernel and platform, by verdict and by commit, each newest first, without reading all of them."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the indexes."""
    op.create_index("ix_run_kernel_platform_started_at", "run", ["kernel", "platform", "started_at"])
    op.create_index("ix_run_verdict_started_at", "run", ["verdict", "started_at"])
    op.create_index("ix_run_commit", "run", ["commit"])
    op.drop_index("ix_run_verdict", "run")  # the one above answers what it did


def downgrade() -> None:
    """Take them away."""
    op.create_index("ix_run_verdict", "run", ["verdict"])
    op.drop_index("ix_run_commit", "run")
    op.drop_index("ix_run_verdict_started_at", "run")
    op.drop_index("ix_run_kernel_platform_started_at", "run")
