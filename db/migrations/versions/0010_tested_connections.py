"""When a connection to a ticketing system passed a test first: no note is sent before."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the step. What works, or has carried a note, has passed."""
    op.add_column("psa_connections", sa.Column("passed_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE psa_connections SET passed_at = coalesce(checked_at, created_at) WHERE status = 'WORKING' "
        "OR EXISTS (SELECT 1 FROM deliveries WHERE deliveries.account_id = psa_connections.account_id "
        "AND deliveries.psa_connection_id = psa_connections.id AND deliveries.status = 'SENT')"
    )


def downgrade() -> None:
    """Take the step back."""
    op.drop_column("psa_connections", "passed_at")
