"""Indexes by which a worker finds what nobody needs any more."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_idempotency_keys_created_at": ("idempotency_keys", "created_at"),
    "ix_login_links_expires_at": ("login_links", "expires_at"),
    "ix_briefings_generated_at": ("briefings", "generated_at"),
}


def upgrade() -> None:
    """Apply the step."""
    for name, (table, column) in _INDEXES.items():
        op.create_index(name, table, [column])


def downgrade() -> None:
    """Take the step back."""
    for name, (table, _) in _INDEXES.items():
        op.drop_index(name, table_name=table)
