"""Which process executes a job, and the job's verdict."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_TEXTS = ("verdict", "owner", "process", "seen_at", "next_at")


def upgrade() -> None:
    """Add the columns."""
    for name in _TEXTS:
        op.add_column("job", sa.Column(name, sa.Text, nullable=False, server_default=""))
    op.add_column("job", sa.Column("attempts", sa.Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    """Drop them."""
    for name in (*_TEXTS, "attempts"):
        op.drop_column("job", name)
