"""Alembic's entry: runs on the connection it is given, inside the caller's transaction."""

from alembic import context

from raised.db.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
context.run_migrations()
