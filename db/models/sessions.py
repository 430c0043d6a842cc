"""Troubleshooting sessions with their messages and branches."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from db.enums import (
    ConfidenceTier,
    MessageRole,
    SessionStatus,
)
from db.models.base import metadata, of_account, one_of
from db.types import Document, Named, UtcDateTime

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
    Column("psa_connection_id", Uuid),  # the PSA that the ticket is in
    Column("actual_cause", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("resolved_at", UtcDateTime),
    of_account("team_id", "teams", "fk_sessions_team"),
    of_account("owner_id", "users", "fk_sessions_owner"),
    of_account("escalated_to_id", "users", "fk_sessions_escalated_to"),
    of_account("psa_connection_id", "psa_connections", "fk_sessions_psa_connection"),
    one_of("status", SessionStatus),
    one_of("confidence_tier", ConfidenceTier),
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
    of_account("session_id", "sessions", "fk_session_messages_session"),
    one_of("role", MessageRole),
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
    of_account("session_id", "sessions", "fk_session_branches_session"),
    of_account("parent_branch_id", "session_branches", "fk_session_branches_parent"),
    UniqueConstraint("account_id", "session_id", "order", name="uq_session_branches_order"),
)

#: Which sessions were imported, and from what: a second import passes them over.
imported_sessions = Table(
    "imported_sessions",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("source", Text, primary_key=True),  # an id or a digest of what was read; see resolvers/imports.py
    Column("session_id", Uuid, nullable=False),
    Column("imported_at", UtcDateTime, nullable=False),
    of_account("session_id", "sessions", "fk_imported_sessions_session"),
)
