"""Whether nobody could be reached when a handoff was made, and when to look whether anybody was told."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the step. What waits already is looked at once."""
    unreachable: sa.Column[bool] = sa.Column(
        "unreachable", sa.Boolean(), server_default=sa.false(), nullable=False
    )
    op.add_column("handoffs", unreachable)
    op.execute(
        "UPDATE handoffs SET unreachable = true WHERE intent = 'ESCALATE' AND reach_online + reach_email = 0"
    )
    op.add_column("handoffs", sa.Column("reach_check_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE handoffs SET reach_check_at = opened_at WHERE state = 'OPEN' AND intent = 'ESCALATE'")
    op.create_index(
        "ix_handoffs_to_check",
        "handoffs",
        ["reach_check_at"],
        postgresql_where=sa.text("state = 'OPEN' AND reach_check_at IS NOT NULL"),
        sqlite_where=sa.text("state = 'OPEN' AND reach_check_at IS NOT NULL"),
    )


def downgrade() -> None:
    """Take the step back."""
    op.drop_index("ix_handoffs_to_check", table_name="handoffs")
    op.drop_column("handoffs", "reach_check_at")
    op.drop_column("handoffs", "unreachable")
