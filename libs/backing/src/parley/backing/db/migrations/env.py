"""Alembic's entry: migrates over the connection that `parley.backing.db.migrate` hands in."""

from alembic import context

from parley.backing.db.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite rolls DDL back too; Alembic does not assume it.
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
