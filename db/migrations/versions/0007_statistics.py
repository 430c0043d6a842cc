"""The escalations of a window are found by an index; sessions that were imported are remembered."""

import sqlalchemy as sa
from alembic import op

from db.migrations.protection import protect

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_CLAIMS = "kind IN ('HANDOFF_CLAIMED', 'HANDOFF_RELEASED', 'ESCALATION_REMINDED')"


def upgrade() -> None:
    """Apply the step."""
    op.create_index(
        "ix_handoffs_escalated",
        "handoffs",
        ["account_id", "created_at"],
        postgresql_where=sa.text("intent = 'ESCALATE'"),
        sqlite_where=sa.text("intent = 'ESCALATE'"),
    )
    op.create_index(
        "ix_events_of_claims",
        "events",
        ["account_id", "handoff_id", "sequence"],
        postgresql_include=["kind", "at"],
        postgresql_where=sa.text(_CLAIMS),
        sqlite_where=sa.text(_CLAIMS),
    )
    op.create_table(
        "imported_sessions",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "session_id"],
            ["sessions.account_id", "sessions.id"],
            name="fk_imported_sessions_session",
        ),
        sa.PrimaryKeyConstraint("account_id", "source", name=op.f("pk_imported_sessions")),
    )
    protect("imported_sessions")


def downgrade() -> None:
    """Take the step back."""
    op.drop_table("imported_sessions")
    op.drop_index("ix_events_of_claims", "events")
    op.drop_index("ix_handoffs_escalated", "handoffs")
