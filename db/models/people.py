"""Accounts, teams and users."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
    true,
)

from db.enums import (
    Role,
)
from db.models.base import metadata, of_account, one_of
from db.types import Named, UtcDateTime

accounts = Table(
    "accounts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("name"),
)

#: The last number given to an event of each account. A table of its own that no foreign key points at:
#: otherwise every insert that refers to the row takes a share lock on it, and a hot account crawls.
account_counters = Table(
    "account_counters",
    metadata,
    Column("account_id", Uuid, ForeignKey("accounts.id"), primary_key=True),
    Column("event_sequence", BigInteger, nullable=False, server_default=text("0")),
    CheckConstraint("event_sequence >= 0", name="event_sequence_not_negative"),
    postgresql_with={"fillfactor": 10},
)

teams = Table(
    "teams",
    metadata,
    Column("account_id", Uuid, ForeignKey("accounts.id"), primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    UniqueConstraint("account_id", "name"),
)

users = Table(
    "users",
    metadata,
    Column("account_id", Uuid, ForeignKey("accounts.id"), primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("email", Text, nullable=False),  # lower case; one person, one account
    Column("name", Text, nullable=False),
    Column("role", Named(Role), nullable=False),
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("created_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime),
    UniqueConstraint("id"),
    UniqueConstraint("email"),
    one_of("role", Role),
    CheckConstraint("email = lower(email)", name="email_lower_case"),
)

team_members = Table(
    "team_members",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("team_id", Uuid, primary_key=True),
    Column("user_id", Uuid, primary_key=True),
    of_account("team_id", "teams", "fk_team_members_team"),
    of_account("user_id", "users", "fk_team_members_user"),
)
