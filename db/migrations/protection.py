"""Row-level security for a table that a migration adds."""

from alembic import op

_ACCOUNT = "(SELECT nullif(current_setting('app.account_id', true), '')::uuid)"


def protect(table: str) -> None:
    """Let a table's rows be seen by their account only, as 0003 did for those that were there before.

    The table names its account in `account_id`. SQLite has no roles, and is left alone.
    """
    if op.get_bind().dialect.name != "postgresql":
        return
    own = f"account_id = {_ACCOUNT}"
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO handoff_app, handoff_worker")
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY handoff_app ON {table} TO handoff_app USING ({own}) WITH CHECK ({own})")
    op.execute(f"CREATE POLICY handoff_worker ON {table} TO handoff_worker USING (true) WITH CHECK (true)")
