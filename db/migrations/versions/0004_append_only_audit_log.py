"""SQLite: refusals are never changed either. PostgreSQL has held that by grants since 0003."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_NEVER = "RAISE(ABORT, 'refusals are never changed')"


def upgrade() -> None:
    """Apply the step."""
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            name = f"audit_log_refuse_{change.lower()}"
            op.execute(f"CREATE TRIGGER {name} BEFORE {change} ON audit_log BEGIN SELECT {_NEVER}; END")
        op.execute(  # INSERT OR REPLACE deletes without the trigger of DELETE
            "CREATE TRIGGER audit_log_refuse_replace BEFORE INSERT ON audit_log BEGIN "
            "SELECT RAISE(ABORT, 'refusals are never changed') FROM audit_log WHERE id = new.id; END"
        )


def downgrade() -> None:
    """Take the step back."""
    if op.get_bind().dialect.name == "sqlite":
        for change in ("update", "delete", "replace"):
            op.execute(f"DROP TRIGGER audit_log_refuse_{change}")
