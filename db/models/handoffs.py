"""Handoffs, and the log of everything that happened."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    false,
    text,
)

from db.enums import (
    EventKind,
    HandoffIntent,
    HandoffPriority,
    HandoffState,
    ReminderAudience,
)
from db.models.base import metadata, of_account, one_of
from db.types import Document, Named, Ranked, UtcDateTime

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
    Column("unreachable", Boolean, nullable=False, server_default=false()),  # at the moment of handoff
    Column("handed_off_by_id", Uuid, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("claimed_by_id", Uuid),
    Column("claimed_at", UtcDateTime),
    Column("claim_expires_at", UtcDateTime),  # NULL: the claim lasts
    Column("closed_at", UtcDateTime),
    Column("opened_at", UtcDateTime, nullable=False),  # when it last came into the queue
    Column("reminders", Integer, nullable=False, server_default=text("0")),  # sent since it was opened
    Column("next_reminder_at", UtcDateTime),  # NULL: none
    Column("reach_check_at", UtcDateTime),  # when to see whether anybody could be told; NULL: it is known
    Column("psa_note_id", Text),  # of the note in the ticket, as the PSA names it; NULL: there is none
    of_account("session_id", "sessions", "fk_handoffs_session"),
    of_account("team_id", "teams", "fk_handoffs_team"),
    of_account("source_branch_id", "session_branches", "fk_handoffs_source_branch"),
    of_account("handed_off_by_id", "users", "fk_handoffs_handed_off_by"),
    of_account("claimed_by_id", "users", "fk_handoffs_claimed_by"),
    one_of("intent", HandoffIntent),
    one_of("priority", HandoffPriority),
    one_of("state", HandoffState),
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
    Index(
        "ix_handoffs_to_remind",
        "next_reminder_at",
        postgresql_where=text("state = 'OPEN' AND next_reminder_at IS NOT NULL"),
        sqlite_where=text("state = 'OPEN' AND next_reminder_at IS NOT NULL"),
    ),
    Index(
        "ix_handoffs_to_check",
        "reach_check_at",
        postgresql_where=text("state = 'OPEN' AND reach_check_at IS NOT NULL"),
        sqlite_where=text("state = 'OPEN' AND reach_check_at IS NOT NULL"),
    ),
    Index(
        "ix_handoffs_to_expire",
        "claim_expires_at",
        postgresql_where=text("state = 'CLAIMED' AND claim_expires_at IS NOT NULL"),
        sqlite_where=text("state = 'CLAIMED' AND claim_expires_at IS NOT NULL"),
    ),
    Index(
        "ix_handoffs_escalated",
        "account_id",
        "created_at",
        postgresql_where=text("intent = 'ESCALATE'"),
        sqlite_where=text("intent = 'ESCALATE'"),
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
    Column("handoff_id", Uuid),  # that was made
    Column("session_id", Uuid),  # that was started, or got messages
    Column("created_at", UtcDateTime, nullable=False),
    of_account("user_id", "users", "fk_idempotency_keys_user"),
    of_account("handoff_id", "handoffs", "fk_idempotency_keys_handoff"),
    of_account("session_id", "sessions", "fk_idempotency_keys_session", may_come_later=True),
    CheckConstraint("(handoff_id IS NULL) <> (session_id IS NULL)", name="of_one"),
    Index("ix_idempotency_keys_created_at", "created_at"),
)

#: Mutations that were refused: who tried what, from where. Not events: nothing happened.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Uuid, ForeignKey("accounts.id")),  # NULL: nobody was signed in
    Column("user_id", Uuid),
    Column("at", UtcDateTime, nullable=False),
    Column("address", Text),  # the client's, as the server saw it
    Column("operation", Text, nullable=False),  # the mutation's name
    Column("outcome", Text, nullable=False),  # the code of the error, or the type of the refusal
    Index("ix_audit_log_account_id_at", "account_id", "at"),
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
    Column("except_id", Uuid),  # the responder whom it does not tell: they did it, or asked for it
    Column("audience", Named(ReminderAudience)),  # of a reminder; NULL: every responder
    Column("summary", Text, nullable=False),
    one_of("intent", HandoffIntent),
    one_of("audience", ReminderAudience),
    CheckConstraint("sequence >= 1", name="sequence_from_one"),
    Index(
        "ix_events_of_handoff",
        "account_id",
        "handoff_id",
        "sequence",
        postgresql_where=text("handoff_id IS NOT NULL"),
        sqlite_where=text("handoff_id IS NOT NULL"),
    ),
    Index(
        "ix_events_of_claims",  # for statistics: claims, releases and reminders, read from the index alone
        "account_id",
        "handoff_id",
        "sequence",
        postgresql_include=["kind", "at"],
        postgresql_where=text("kind IN ('HANDOFF_CLAIMED', 'HANDOFF_RELEASED', 'ESCALATION_REMINDED')"),
        sqlite_where=text("kind IN ('HANDOFF_CLAIMED', 'HANDOFF_RELEASED', 'ESCALATION_REMINDED')"),
    ),
)
