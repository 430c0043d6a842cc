"""Who made an API key: whoever did may know its token.

For the keys that are there, the event about each says so. SQLite cannot add a constraint to a table: a new
one takes the place of the old, to which none refers.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_TABLE = "api_keys"
_FOREIGN_KEY = "fk_api_keys_created_by"


def upgrade() -> None:
    """Apply the step."""
    if op.get_bind().dialect.name == "postgresql":
        op.add_column(_TABLE, sa.Column("created_by_id", sa.Uuid(), nullable=True))
        op.create_foreign_key(
            _FOREIGN_KEY, _TABLE, "users", ["account_id", "created_by_id"], ["account_id", "id"]
        )
    else:
        _replace(
            sa.Column("created_by_id", sa.Uuid(), nullable=True),
            sa.ForeignKeyConstraint(
                ["account_id", "created_by_id"], ["users.account_id", "users.id"], name=_FOREIGN_KEY
            ),
        )
    op.execute(
        "UPDATE api_keys SET created_by_id = made.actor_id "
        "FROM (SELECT account_id, at, actor_id FROM events WHERE kind = 'API_KEY_CREATED') AS made "
        "WHERE made.account_id = api_keys.account_id AND made.at = api_keys.created_at"
    )


def downgrade() -> None:
    """Take the step back."""
    if op.get_bind().dialect.name != "postgresql":
        _replace()
        return
    op.drop_constraint(_FOREIGN_KEY, _TABLE)
    op.drop_column(_TABLE, "created_by_id")


def _replace(*parts: sa.Column[object] | sa.Constraint) -> None:
    """Put a table with these columns and constraints, and those that stay, in the place of the old one."""
    op.create_table(
        "new_keys",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        *parts,
        sa.CheckConstraint("scope IN ('INGEST', 'FULL')", name=op.f("ck_api_keys_scope_known")),
        sa.CheckConstraint("length(secret_hash) = 64", name=op.f("ck_api_keys_secret_is_hashed")),
        sa.ForeignKeyConstraint(
            ["account_id", "user_id"], ["users.account_id", "users.id"], name="fk_api_keys_user"
        ),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("id", name=op.f("uq_api_keys_id")),
    )
    op.execute(
        "INSERT INTO new_keys (account_id, id, user_id, name, scope, secret_hash, created_at, last_used_at, "
        "revoked_at) SELECT account_id, id, user_id, name, scope, secret_hash, created_at, last_used_at, "
        "revoked_at FROM api_keys"
    )
    op.drop_table(_TABLE)
    op.rename_table("new_keys", _TABLE)
    op.create_index("ix_api_keys_newest", _TABLE, ["account_id", "created_at", "id"])
