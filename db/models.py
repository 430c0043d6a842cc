"""The tables. Every constraint has a name, because refusals are told apart by it.

Rows of an account have the primary key (account_id, id) and refer to each other through it: a row can
never belong to another account than the row that it points at, whatever the code above forgets.
"""

from enum import Enum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    text,
    true,
)

from db.enums import (
    Channel,
    ConfidenceTier,
    DeliveryKind,
    DeliveryStatus,
    EventKind,
    HandoffIntent,
    HandoffPriority,
    HandoffState,
    MessageRole,
    Role,
    SessionStatus,
    SkipReason,
)
from db.types import Document, Named, Ranked, UtcDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _one_of(column: str, members: type[Enum]) -> CheckConstraint:
    allowed = ", ".join(repr(member.value) for member in members)
    return CheckConstraint(f"{column} IN ({allowed})", name=f"{column}_known")


def _of_account(column: str, target: str, name: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["account_id", column], [f"{target}.account_id", f"{target}.id"], name=name)


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
    _one_of("role", Role),
    CheckConstraint("email = lower(email)", name="email_lower_case"),
)

team_members = Table(
    "team_members",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("team_id", Uuid, primary_key=True),
    Column("user_id", Uuid, primary_key=True),
    _of_account("team_id", "teams", "fk_team_members_team"),
    _of_account("user_id", "users", "fk_team_members_user"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("account_id", Uuid, ForeignKey("accounts.id"), primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("team_id", Uuid),
    Column("owner_id", Uuid, nullable=False),
    Column("status", Named(SessionStatus), nullable=False),
    Column("problem_summary", Text),
    Column("problem_domain", Text),
    Column("step_count", Integer, nullable=False, server_default=text("0")),
    Column("confidence_tier", Named(ConfidenceTier)),
    # No foreign key: branches point at their session already, and a branch is never deleted.
    Column("active_branch_id", Uuid),
    Column("message_count", Integer, nullable=False, server_default=text("0")),
    Column("branch_count", Integer, nullable=False, server_default=text("0")),
    Column("handoff_count", Integer, nullable=False, server_default=text("0")),
    Column("escalated_to_id", Uuid),
    Column("escalation_package", Document),
    Column("psa_ticket_id", Text),
    Column("actual_cause", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("resolved_at", UtcDateTime),
    _of_account("team_id", "teams", "fk_sessions_team"),
    _of_account("owner_id", "users", "fk_sessions_owner"),
    _of_account("escalated_to_id", "users", "fk_sessions_escalated_to"),
    _one_of("status", SessionStatus),
    _one_of("confidence_tier", ConfidenceTier),
    CheckConstraint("(status = 'RESOLVED') = (resolved_at IS NOT NULL)", name="resolved_has_time"),
    CheckConstraint("step_count >= 0", name="step_count_not_negative"),
    Index("ix_sessions_newest", "account_id", "created_at", "id"),
)

session_messages = Table(
    "session_messages",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("session_id", Uuid, primary_key=True),
    Column("index", Integer, primary_key=True, autoincrement=False),  # 0, 1, 2 … within the session
    Column("role", Named(MessageRole), nullable=False),
    Column("content", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    _of_account("session_id", "sessions", "fk_session_messages_session"),
    _one_of("role", MessageRole),
)

session_branches = Table(
    "session_branches",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("session_id", Uuid, nullable=False),
    Column("label", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("status_reason", Text),
    Column("parent_branch_id", Uuid),
    Column("order", Integer, nullable=False),  # 0, 1, 2 … in the order of creation within the session
    _of_account("session_id", "sessions", "fk_session_branches_session"),
    _of_account("parent_branch_id", "session_branches", "fk_session_branches_parent"),
    UniqueConstraint("account_id", "session_id", "order", name="uq_session_branches_order"),
)

handoffs = Table(
    "handoffs",
    metadata,
    Column("account_id", Uuid, ForeignKey("accounts.id"), primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("session_id", Uuid, nullable=False),
    Column("team_id", Uuid),  # the session's team at the moment of handoff
    Column("intent", Named(HandoffIntent), nullable=False),
    Column("priority", Ranked(HandoffPriority), nullable=False),
    Column("state", Named(HandoffState), nullable=False),
    Column("notes", Text),
    Column("snapshot", Document, nullable=False),
    Column("source_branch_id", Uuid),
    Column("round", Integer, nullable=False, server_default=text("0")),  # of telling the responders
    Column("reach_online", Integer, nullable=False),
    Column("reach_email", Integer, nullable=False),
    Column("handed_off_by_id", Uuid, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("claimed_by_id", Uuid),
    Column("claimed_at", UtcDateTime),
    Column("closed_at", UtcDateTime),
    _of_account("session_id", "sessions", "fk_handoffs_session"),
    _of_account("team_id", "teams", "fk_handoffs_team"),
    _of_account("source_branch_id", "session_branches", "fk_handoffs_source_branch"),
    _of_account("handed_off_by_id", "users", "fk_handoffs_handed_off_by"),
    _of_account("claimed_by_id", "users", "fk_handoffs_claimed_by"),
    _one_of("intent", HandoffIntent),
    _one_of("priority", HandoffPriority),
    _one_of("state", HandoffState),
    CheckConstraint("(claimed_by_id IS NULL) = (claimed_at IS NULL)", name="claim_is_whole"),
    CheckConstraint("state <> 'OPEN' OR claimed_by_id IS NULL", name="open_is_unclaimed"),
    CheckConstraint("state <> 'CLAIMED' OR claimed_by_id IS NOT NULL", name="claimed_has_claimer"),
    CheckConstraint("(state = 'CLOSED') = (closed_at IS NOT NULL)", name="closed_has_time"),
    Index(
        "uq_handoffs_one_unfinished",
        "account_id",
        "session_id",
        unique=True,
        postgresql_where=text("state <> 'CLOSED'"),
        sqlite_where=text("state <> 'CLOSED'"),
    ),
    Index(
        "ix_handoffs_queue",
        "account_id",
        "created_at",
        "id",
        postgresql_where=text("state = 'OPEN'"),
        sqlite_where=text("state = 'OPEN'"),
    ),
    Index(
        "ix_handoffs_queue_by_priority",
        "account_id",
        "priority",
        "created_at",
        "id",
        postgresql_where=text("state = 'OPEN'"),
        sqlite_where=text("state = 'OPEN'"),
    ),
    Index("ix_handoffs_of_session", "account_id", "session_id", "created_at", "id"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("user_id", Uuid, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),  # of the whole input: the same key with another is refused
    Column("handoff_id", Uuid, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    _of_account("user_id", "users", "fk_idempotency_keys_user"),
    _of_account("handoff_id", "handoffs", "fk_idempotency_keys_handoff"),
)

#: Everything that happened, numbered 1, 2, 3 … without gaps within its account, in commit order.
events = Table(
    "events",
    metadata,
    Column("account_id", Uuid, ForeignKey("accounts.id"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Named(EventKind), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor_id", Uuid),  # NULL: the command line or the service itself
    Column("session_id", Uuid),
    Column("handoff_id", Uuid),
    Column("team_id", Uuid),  # of the session, so that a team's subscription need not look it up
    Column("intent", Named(HandoffIntent)),
    Column("round", Integer, nullable=False, server_default=text("0")),
    Column("summary", Text, nullable=False),
    _one_of("intent", HandoffIntent),
    CheckConstraint("sequence >= 1", name="sequence_from_one"),
    Index(
        "ix_events_of_handoff",
        "account_id",
        "handoff_id",
        "sequence",
        postgresql_where=text("handoff_id IS NOT NULL"),
        sqlite_where=text("handoff_id IS NOT NULL"),
    ),
)

#: The outbox: one row tells one recipient one thing over one channel.
deliveries = Table(
    "deliveries",
    metadata,
    Column("account_id", Uuid, ForeignKey("accounts.id"), primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("handoff_id", Uuid, nullable=False),
    Column("recipient_id", Uuid, nullable=False),
    Column("channel", Named(Channel), nullable=False),
    Column("kind", Named(DeliveryKind), nullable=False),
    Column("round", Integer, nullable=False),
    Column("status", Named(DeliveryStatus), nullable=False),
    Column("reason", Named(SkipReason)),
    Column("error", Text),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("created_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("lease_until", UtcDateTime),  # a worker holds the row until then; a dead one's is taken over
    Column("leased_by", Uuid),  # a new id each lease, so that a late settle cannot touch another's
    Column("sent_at", UtcDateTime),
    Column("delivered_at", UtcDateTime),
    UniqueConstraint(
        "account_id", "handoff_id", "recipient_id", "channel", "kind", "round", name="uq_deliveries_once"
    ),
    _of_account("handoff_id", "handoffs", "fk_deliveries_handoff"),
    _of_account("recipient_id", "users", "fk_deliveries_recipient"),
    _one_of("channel", Channel),
    _one_of("kind", DeliveryKind),
    _one_of("status", DeliveryStatus),
    _one_of("reason", SkipReason),
    CheckConstraint("(status = 'SKIPPED') = (reason IS NOT NULL)", name="skipped_has_reason"),
    CheckConstraint("status <> 'SENDING' OR lease_until IS NOT NULL", name="sending_is_leased"),
    CheckConstraint("(lease_until IS NULL) = (leased_by IS NULL)", name="lease_is_whole"),
    CheckConstraint("status IN ('PENDING', 'SENDING') OR lease_until IS NULL", name="finished_is_not_leased"),
    CheckConstraint("status <> 'SENT' OR sent_at IS NOT NULL", name="sent_has_time"),
    CheckConstraint("status <> 'DELIVERED' OR delivered_at IS NOT NULL", name="delivered_has_time"),
    Index(
        "ix_deliveries_due",
        "channel",
        "due_at",
        postgresql_where=text("status IN ('PENDING', 'SENDING')"),
        sqlite_where=text("status IN ('PENDING', 'SENDING')"),
    ),
)

#: What was tried for a delivery, and what the other side answered.
delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("delivery_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),  # NULL while it runs, or if its worker died
    Column("accepted", Boolean, nullable=False, server_default=false()),
    Column("reply_code", Integer),
    Column("reply_text", Text),
    _of_account("delivery_id", "deliveries", "fk_delivery_attempts_delivery"),
)

#: The running server processes. A node that stopped beating is dead, and its connections with it.
nodes = Table(
    "nodes",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("heartbeat_at", UtcDateTime, nullable=False),
)

#: One row per running `escalationCreated` subscription of a responder: presence.
connections = Table(
    "connections",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("node_id", Uuid, ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("team_id", Uuid),  # NULL: follows the whole account
    Column("opened_at", UtcDateTime, nullable=False),
    _of_account("user_id", "users", "fk_connections_user"),
    Index("ix_connections_node_id", "node_id"),
)
