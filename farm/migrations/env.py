"""Alembic's entry: runs the scripts on the connection `farm.database` hands over, in that connection's transaction."""

from alembic import context

from farm.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
