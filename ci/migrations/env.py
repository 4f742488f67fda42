"""Alembic's entry: runs the scripts on the connection `ci.database` hands over, in that connection's transaction."""

from alembic import context

from ci.tables import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"], target_metadata=METADATA, version_table=VERSION_TABLE
)
with context.begin_transaction():
    context.run_migrations()
