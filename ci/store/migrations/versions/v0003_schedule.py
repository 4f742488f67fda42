"""How far each schedule has been carried out."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "schedule",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("cron", sa.Text, nullable=False),
        sa.Column("done_until", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Drop it; every schedule begins again."""
    op.drop_table("schedule")
