"""What happened on a platform's devices of late, without reading what happened before."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the index."""
    op.create_index("ix_device_event_platform_at", "device_event", ["platform", "at", "device", "kind"])


def downgrade() -> None:
    """Take it away."""
    op.drop_index("ix_device_event_platform_at", "device_event")
