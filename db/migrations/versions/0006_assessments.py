"""Assessments of escalations, and briefings for those who claim them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from db.migrations.protection import protect

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_READY = "findings IS NOT NULL AND confidence IS NOT NULL AND generated_by IS NOT NULL"


def upgrade() -> None:
    """Apply the step."""
    op.create_table(
        "assessments",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("handoff_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("requested_at", _TIME, nullable=False),
        sa.Column("mails_wait_until", _TIME, nullable=False),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("deadline_at", _TIME, nullable=False),
        sa.Column("lease_until", _TIME, nullable=True),
        sa.Column("leased_by", sa.Uuid(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("likely_cause", sa.Text(), nullable=True),
        sa.Column("confidence", sa.Text(), nullable=True),
        sa.Column(
            "findings",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"),
            nullable=True,
        ),
        sa.Column("generated_by", sa.Text(), nullable=True),
        sa.Column("finished_at", _TIME, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("verdict_by_id", sa.Uuid(), nullable=True),
        sa.Column("verdict_at", _TIME, nullable=True),
        sa.CheckConstraint(
            "status IN ('PENDING', 'READY', 'FAILED')", name=op.f("ck_assessments_status_known")
        ),
        sa.CheckConstraint(
            "confidence IN ('LOW', 'MEDIUM', 'HIGH')", name=op.f("ck_assessments_confidence_known")
        ),
        sa.CheckConstraint(
            "verdict IN ('CORRECT', 'PARTLY', 'WRONG')", name=op.f("ck_assessments_verdict_known")
        ),
        sa.CheckConstraint(
            "(lease_until IS NULL) = (leased_by IS NULL)", name=op.f("ck_assessments_lease_is_whole")
        ),
        sa.CheckConstraint(
            "(status = 'PENDING') = (finished_at IS NULL)", name=op.f("ck_assessments_finished_has_time")
        ),
        sa.CheckConstraint(f"(status = 'READY') = ({_READY})", name=op.f("ck_assessments_ready_is_whole")),
        sa.CheckConstraint(
            "(status = 'FAILED') = (error IS NOT NULL)", name=op.f("ck_assessments_failed_says_why")
        ),
        sa.CheckConstraint(
            "(verdict IS NULL) = (verdict_by_id IS NULL) AND (verdict IS NULL) = (verdict_at IS NULL)",
            name=op.f("ck_assessments_verdict_is_whole"),
        ),
        sa.CheckConstraint(
            "verdict IS NULL OR status = 'READY'", name=op.f("ck_assessments_verdict_of_ready")
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "handoff_id"],
            ["handoffs.account_id", "handoffs.id"],
            name="fk_assessments_handoff",
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "verdict_by_id"],
            ["users.account_id", "users.id"],
            name="fk_assessments_verdict_by",
        ),
        sa.PrimaryKeyConstraint("account_id", "handoff_id", name=op.f("pk_assessments")),
    )
    op.create_index(
        "ix_assessments_due",
        "assessments",
        ["due_at"],
        postgresql_where=sa.text("status = 'PENDING'"),
        sqlite_where=sa.text("status = 'PENDING'"),
    )
    op.create_table(
        "briefings",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("handoff_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("generated_by", sa.Text(), nullable=False),
        sa.Column("generated_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "handoff_id"], ["handoffs.account_id", "handoffs.id"], name="fk_briefings_handoff"
        ),
        sa.PrimaryKeyConstraint("account_id", "handoff_id", name=op.f("pk_briefings")),
    )
    protect("assessments")
    protect("briefings")


def downgrade() -> None:
    """Take the step back."""
    op.drop_table("briefings")
    op.drop_table("assessments")
