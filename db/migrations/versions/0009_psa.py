"""Connections to ticketing systems, and notes in tickets as deliveries without a recipient.

SQLite cannot change a constraint of a table. The usual way round, a new table that takes the old one's
place, would drop tables that others refer to. Here the stored text of the table is changed instead, which
SQLite's manual describes for changes of constraints ("Making Other Kinds Of Table Schema Changes").
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from db.migrations.protection import protect

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_CHANNELS = "'PUSH', 'EMAIL'"
_KINDS = "'ESCALATION', 'REMINDER', 'CLAIMED', 'UNREACHED'"
_NOTE = "'PSA_NOTE'"
_TO_CONNECTION = (
    "FOREIGN KEY(account_id, psa_connection_id) REFERENCES psa_connections (account_id, id)"  # as SQLAlchemy
)
_DELIVERY_CHECKS = {
    "recipient_unless_note": "(recipient_id IS NULL) = (channel = 'PSA_NOTE')",
    "note_is_note": "(kind = 'PSA_NOTE') = (channel = 'PSA_NOTE')",
    "note_has_ticket": "(psa_connection_id IS NOT NULL) = (channel = 'PSA_NOTE') "
    "AND (psa_ticket_id IS NOT NULL) = (channel = 'PSA_NOTE')",
}
_NEW_COLUMNS = (
    ("handoffs", "psa_note_id", sa.Text()),
    ("sessions", "psa_connection_id", sa.Uuid()),
    ("deliveries", "psa_connection_id", sa.Uuid()),
    ("deliveries", "psa_ticket_id", sa.Text()),
)


def upgrade() -> None:
    """Apply the step."""
    _create_connections()
    for table, column, kind in _NEW_COLUMNS:
        op.add_column(table, sa.Column(column, kind, nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        _change_postgresql()
        protect("psa_connections")
    else:
        _change_sqlite()
    op.create_index(
        "uq_deliveries_once_without_recipient",
        "deliveries",
        ["account_id", "handoff_id", "channel", "kind", "round"],
        unique=True,
        postgresql_where=sa.text("recipient_id IS NULL"),
        sqlite_where=sa.text("recipient_id IS NULL"),
    )
    op.create_index(
        "ix_deliveries_notes_due",
        "deliveries",
        ["account_id", "psa_connection_id", "due_at"],
        postgresql_where=sa.text("channel = 'PSA_NOTE' AND status IN ('PENDING', 'SENDING')"),
        sqlite_where=sa.text("channel = 'PSA_NOTE' AND status IN ('PENDING', 'SENDING')"),
    )


def downgrade() -> None:
    """Take the step back. The notes' deliveries are lost: no table has a place for them."""
    op.execute(
        "DELETE FROM delivery_attempts WHERE EXISTS (SELECT 1 FROM deliveries "
        "WHERE deliveries.account_id = delivery_attempts.account_id "
        "AND deliveries.id = delivery_attempts.delivery_id AND deliveries.channel = 'PSA_NOTE')"
    )
    op.execute("DELETE FROM deliveries WHERE channel = 'PSA_NOTE'")
    op.drop_index("ix_deliveries_notes_due", "deliveries")
    op.drop_index("uq_deliveries_once_without_recipient", "deliveries")
    if op.get_bind().dialect.name == "postgresql":
        _change_back_postgresql()
    else:
        _change_back_sqlite()
    for table, column, _ in reversed(_NEW_COLUMNS):
        op.drop_column(table, column)
    op.drop_table("psa_connections")


def _create_connections() -> None:
    document = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    op.create_table(
        "psa_connections",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("config", document, nullable=False),
        sa.Column("credentials", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'UNTESTED'"), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paused", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("automatic", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("leased_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "provider IN ('CONNECTWISE', 'AUTOTASK', 'HALOPSA')",
            name=op.f("ck_psa_connections_provider_known"),
        ),
        sa.CheckConstraint(
            "status IN ('UNTESTED', 'WORKING', 'FAILING')", name=op.f("ck_psa_connections_status_known")
        ),
        sa.CheckConstraint(
            "(lease_until IS NULL) = (leased_by IS NULL)", name=op.f("ck_psa_connections_lease_is_whole")
        ),
        sa.CheckConstraint("base_url LIKE 'https://%'", name=op.f("ck_psa_connections_base_url_is_https")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_psa_connections_account_id")),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_psa_connections")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_psa_connections_account_id_name")),
    )
    op.create_index("ix_psa_connections_newest", "psa_connections", ["account_id", "created_at", "id"])


def _change_postgresql() -> None:
    op.alter_column("deliveries", "recipient_id", nullable=True)
    _set_known_postgresql(f"{_CHANNELS}, {_NOTE}", f"{_KINDS}, {_NOTE}")
    for name, condition in _DELIVERY_CHECKS.items():
        op.create_check_constraint(op.f(f"ck_deliveries_{name}"), "deliveries", condition)
    for table in ("sessions", "deliveries"):
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT fk_{table}_psa_connection {_TO_CONNECTION}")


def _change_back_postgresql() -> None:
    for table in ("sessions", "deliveries"):
        op.drop_constraint(f"fk_{table}_psa_connection", table)
    for name in _DELIVERY_CHECKS:
        op.drop_constraint(op.f(f"ck_deliveries_{name}"), "deliveries")
    _set_known_postgresql(_CHANNELS, _KINDS)
    op.alter_column("deliveries", "recipient_id", nullable=False)


def _set_known_postgresql(channels: str, kinds: str) -> None:
    for column, known in (("channel", channels), ("kind", kinds)):
        name = op.f(f"ck_deliveries_{column}_known")
        op.drop_constraint(name, "deliveries")
        op.create_check_constraint(name, "deliveries", f"{column} IN ({known})")


def _constraints(table: str) -> str:
    checks = _DELIVERY_CHECKS if table == "deliveries" else {}
    told = [f"CONSTRAINT fk_{table}_psa_connection {_TO_CONNECTION}"]
    told += [f"CONSTRAINT ck_{table}_{name} CHECK ({condition})" for name, condition in checks.items()]
    return "".join(f", {constraint}" for constraint in told)


def _change_sqlite() -> None:
    for table in ("sessions", "deliveries"):
        sql = _stored(table)
        sql = sql[: sql.rindex(")")] + _constraints(table) + ")"
        if table == "deliveries":
            sql = _replaced(sql, "recipient_id CHAR(32) NOT NULL", "recipient_id CHAR(32)")
            sql = _replaced(sql, f"({_CHANNELS})", f"({_CHANNELS}, {_NOTE})")
            sql = _replaced(sql, f"({_KINDS})", f"({_KINDS}, {_NOTE})")
        _store(table, sql)


def _change_back_sqlite() -> None:
    for table in ("sessions", "deliveries"):
        sql = _replaced(_stored(table), _constraints(table), "")
        if table == "deliveries":
            sql = _replaced(sql, "recipient_id CHAR(32)", "recipient_id CHAR(32) NOT NULL")
            sql = _replaced(sql, f"({_CHANNELS}, {_NOTE})", f"({_CHANNELS})")
            sql = _replaced(sql, f"({_KINDS}, {_NOTE})", f"({_KINDS})")
        _store(table, sql)


def _replaced(sql: str, old: str, new: str) -> str:
    if sql.count(old) != 1:
        raise LookupError(f"a table is not as it was left: {old!r} stands in it {sql.count(old)} times")
    return sql.replace(old, new)


def _stored(table: str) -> str:
    found = op.get_bind().execute(
        sa.text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :table"), {"table": table}
    )
    return str(found.scalar_one())


def _store(table: str, sql: str) -> None:
    connection = op.get_bind()
    version = int(connection.exec_driver_sql("PRAGMA schema_version").scalar_one())
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    connection.execute(
        sa.text("UPDATE sqlite_master SET sql = :sql WHERE type = 'table' AND name = :table"),
        {"sql": sql, "table": table},
    )
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = RESET")  # read the tables anew
