"""What language models were used for each account, by day."""

import sqlalchemy as sa
from alembic import op

from db.migrations.protection import protect

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TABLE = "assessor_usage"


def upgrade() -> None:
    """Apply the step."""
    op.create_table(
        _TABLE,
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "requests >= 0 AND input_tokens >= 0 AND output_tokens >= 0 AND cost_micros >= 0",
            name=op.f("ck_assessor_usage_nothing_negative"),
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_assessor_usage_account_id")),
        sa.PrimaryKeyConstraint("account_id", "day", "model", name=op.f("pk_assessor_usage")),
    )
    protect(_TABLE)


def downgrade() -> None:
    """Take the step back. The policies go with the table."""
    op.drop_table(_TABLE)
