"""When each run that is under way last gave a sign of life, in seconds of the database's clock."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column. Runs of an older farm have none there: they are never settled for their silence."""
    op.add_column("run", sa.Column("heard", sa.Float))


def downgrade() -> None:
    """Take it away."""
    with op.batch_alter_table("run") as table:
        table.drop_column("heard")
