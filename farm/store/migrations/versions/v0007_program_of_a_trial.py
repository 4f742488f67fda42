"""Which compiled program each trial ran."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column. Trials of an older farm have none there: their times are no history of a program."""
    op.add_column("trial", sa.Column("fingerprint", sa.Text))
    op.create_index("ix_trial_fingerprint", "trial", ["fingerprint"])


def downgrade() -> None:
    """Take it away."""
    op.drop_index("ix_trial_fingerprint", "trial")
    with op.batch_alter_table("trial") as table:
        table.drop_column("fingerprint")
