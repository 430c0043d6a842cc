"""Addresses and teams' names can be changed while others refer to the row.

PostgreSQL takes the columns of a whole unique index for a key that rows may refer to. To change one locks the
row against everybody whose rows refer to it, and they hold the account's counter: the two wait for each other
in a circle. A partial index is no such key. SQLite has no such locks, and keeps its constraints.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

#: Table, columns, the constraint, and the index that takes its place.
_UNIQUE = (
    ("users", ["email"], "uq_users_email", "uq_users_address"),
    ("teams", ["account_id", "name"], "uq_teams_account_id_name", "uq_teams_name"),
)


def upgrade() -> None:
    """Apply the step."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, columns, constraint, index in _UNIQUE:
        every = sa.text(f"{columns[-1]} IS NOT NULL")
        op.create_index(index, table, columns, unique=True, postgresql_where=every)
        op.drop_constraint(constraint, table)


def downgrade() -> None:
    """Take the step back."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, columns, constraint, index in _UNIQUE:
        op.create_unique_constraint(constraint, table, columns)
        op.drop_index(index, table)
