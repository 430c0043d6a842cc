"""Idempotency keys of sessions: a row belongs to a handoff or to a session.

SQLite cannot change a constraint of a table: a new one takes the place of the old, to which none refers.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_TABLE = "idempotency_keys"
_FOREIGN_KEY = "fk_idempotency_keys_session"
_ONE = "(handoff_id IS NULL) <> (session_id IS NULL)"


def upgrade() -> None:
    """Apply the step."""
    if op.get_bind().dialect.name != "postgresql":
        _replace(
            sa.Column("handoff_id", sa.Uuid(), nullable=True),
            sa.Column("session_id", sa.Uuid(), nullable=True),
            _to_session(),
            sa.CheckConstraint(_ONE, name=op.f("ck_idempotency_keys_of_one")),
        )
        return
    op.add_column(_TABLE, sa.Column("session_id", sa.Uuid(), nullable=True))
    op.alter_column(_TABLE, "handoff_id", nullable=True)
    op.create_foreign_key(
        _FOREIGN_KEY,
        _TABLE,
        "sessions",
        ["account_id", "session_id"],
        ["account_id", "id"],
        deferrable=True,
        initially="DEFERRED",
    )
    op.create_check_constraint(op.f("ck_idempotency_keys_of_one"), _TABLE, _ONE)


def downgrade() -> None:
    """Take the step back. The keys of sessions are lost: the table has no place for them."""
    op.execute("DELETE FROM idempotency_keys WHERE handoff_id IS NULL")
    if op.get_bind().dialect.name != "postgresql":
        _replace(sa.Column("handoff_id", sa.Uuid(), nullable=False))
        return
    op.drop_constraint(op.f("ck_idempotency_keys_of_one"), _TABLE)
    op.drop_constraint(_FOREIGN_KEY, _TABLE)
    op.alter_column(_TABLE, "handoff_id", nullable=False)
    op.drop_column(_TABLE, "session_id")


def _to_session() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["account_id", "session_id"],
        ["sessions.account_id", "sessions.id"],
        name=_FOREIGN_KEY,
        deferrable=True,
        initially="DEFERRED",
    )


def _replace(*parts: sa.Column[object] | sa.Constraint) -> None:
    """Put a table with these columns and constraints, and those that stay, in the place of the old one."""
    op.create_table(
        "new_keys",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        *parts,
        sa.ForeignKeyConstraint(
            ["account_id", "user_id"], ["users.account_id", "users.id"], name="fk_idempotency_keys_user"
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "handoff_id"],
            ["handoffs.account_id", "handoffs.id"],
            name="fk_idempotency_keys_handoff",
        ),
        sa.PrimaryKeyConstraint("account_id", "user_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.execute(
        "INSERT INTO new_keys (account_id, user_id, key, fingerprint, handoff_id, created_at) "
        "SELECT account_id, user_id, key, fingerprint, handoff_id, created_at FROM idempotency_keys"
    )
    op.drop_table(_TABLE)
    op.rename_table("new_keys", _TABLE)
    op.create_index("ix_idempotency_keys_created_at", _TABLE, ["created_at"])
