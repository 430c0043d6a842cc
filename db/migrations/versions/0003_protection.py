"""Rows are seen by their account only, what happened cannot be changed, refusals are kept.

PostgreSQL: two roles without a login. `handoff_app` sees and writes the rows of the account that its
transaction names (row-level security); `handoff_worker` those of all, for `db/system.py`. The service
connects as the owner of the tables and takes one of the roles, so the owner must be a member of both.
Roles belong to the whole server: they may exist already, made for another database.

Both engines: a trigger refuses every change of an event.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ROLES = ("handoff_app", "handoff_worker")
_ACCOUNT = "(SELECT nullif(current_setting('app.account_id', true), '')::uuid)"


def upgrade() -> None:
    """Apply the step."""
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_audit_log_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index("ix_audit_log_account_id_at", "audit_log", ["account_id", "at"])
    if op.get_bind().dialect.name == "postgresql":
        _make_roles()
        _enable_row_security()
        _refuse_changes_postgresql()
    else:
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER events_refuse_{change.lower()} BEFORE {change} ON events "
                "BEGIN SELECT RAISE(ABORT, 'events are never changed'); END"
            )
        op.execute(  # INSERT OR REPLACE deletes without the trigger of DELETE
            "CREATE TRIGGER events_refuse_replace BEFORE INSERT ON events WHEN EXISTS (SELECT 1 FROM events "
            "WHERE account_id = new.account_id AND sequence = new.sequence) "
            "BEGIN SELECT RAISE(ABORT, 'events are never changed'); END"
        )


def downgrade() -> None:
    """Take the step back. The roles stay: another database may use them."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER events_refuse_change ON events")
        op.execute("DROP FUNCTION refuse_change()")
        for table, _ in _tables():
            for role in ROLES:
                op.execute(f"DROP POLICY {role} ON {table}")
            op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
        op.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {', '.join(ROLES)}")
    else:
        op.execute("DROP TRIGGER events_refuse_update")
        op.execute("DROP TRIGGER events_refuse_delete")
        op.execute("DROP TRIGGER events_refuse_replace")
    op.drop_table("audit_log")


def _make_roles() -> None:
    for role in ROLES:
        _do_unless_another_does(
            f"IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN "
            # The grant even for who makes the role: since PostgreSQL 16 makers may not take it by themselves.
            f"CREATE ROLE {role} NOLOGIN; GRANT {role} TO CURRENT_USER; END IF"
        )
        _do_unless_another_does(
            f"IF NOT pg_has_role('{role}', 'MEMBER') THEN GRANT {role} TO CURRENT_USER; END IF"
        )
        op.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
        op.execute(f"REVOKE UPDATE, DELETE ON events, audit_log FROM {role}")
        op.execute(f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {role}")


def _do_unless_another_does(statements: str) -> None:
    """Change roles; another database of the same server may be migrated at this moment."""
    op.execute(
        f"DO $$ BEGIN {statements}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    )


def _enable_row_security() -> None:
    for table, column in _tables():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        own = f"{column} = {_ACCOUNT}"
        op.execute(f"CREATE POLICY handoff_app ON {table} TO handoff_app USING ({own}) WITH CHECK ({own})")
        op.execute(
            f"CREATE POLICY handoff_worker ON {table} TO handoff_worker USING (true) WITH CHECK (true)"
        )


def _tables() -> list[tuple[str, str]]:
    """Return every table that has an account, and the column that names it."""
    found = op.get_bind().execute(
        sa.text(
            "SELECT table_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND column_name = 'account_id' ORDER BY table_name"
        )
    )
    return [("accounts", "id"), *((row[0], "account_id") for row in found)]


def _refuse_changes_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'events are never changed'; END $$"
    )
    op.execute(
        "CREATE TRIGGER events_refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON events "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
