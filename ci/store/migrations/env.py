"""Alembic's entry point: run the scripts on the connection `ci.store.engine` hands over, in its transaction."""

from alembic import context

from ci.store.tables import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"], target_metadata=METADATA, version_table=VERSION_TABLE
)
with context.begin_transaction():
    context.run_migrations()
