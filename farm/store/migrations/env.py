"""Alembic's entry point: run the scripts on the connection `farm.store.engine` hands over, in its transaction."""

from alembic import context

from farm.store.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
