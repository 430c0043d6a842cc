"""Accounts, teams and users."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    text,
    true,
)

from db.enums import ReminderAudience, Role
from db.models.base import metadata, of_account, one_of, unique_beside_references
from db.types import Document, Named, UtcDateTime

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
    *unique_beside_references("uq_teams_name", "account_id", "name"),
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
    Column("mute_push", Boolean, nullable=False, server_default=false()),
    Column("mute_email", Boolean, nullable=False, server_default=false()),
    Column("quiet_reminders", Boolean, nullable=False, server_default=false()),
    Column("tokens_not_before", UtcDateTime),  # tokens issued earlier are refused; NULL: none is
    UniqueConstraint("id"),
    *unique_beside_references("uq_users_address", "email"),
    one_of("role", Role),
    CheckConstraint("email = lower(email)", name="email_lower_case"),
    CheckConstraint("NOT (mute_push AND mute_email)", name="one_channel_open"),
)

#: What happens to an escalation that nobody claims. An account without a row has the defaults.
account_policies = Table(
    "account_policies",
    metadata,
    Column("account_id", Uuid, ForeignKey("accounts.id"), primary_key=True),
    Column("reminder_after", Document, nullable=False),  # seconds after the escalation, ascending
    Column("remind", Named(ReminderAudience), nullable=False),
    Column("claim_expires_after", Integer),  # seconds without a sign of work; NULL: never
    one_of("remind", ReminderAudience),
    CheckConstraint("claim_expires_after > 0", name="claim_expires_after_positive"),
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
