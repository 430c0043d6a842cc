"""Run by Alembic for each command; `db/migrate.py` hands the open connection over."""

from alembic import context

from db.models import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter a constraint in place
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
