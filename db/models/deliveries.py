"""Who is told what, and who is at a screen."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    text,
)

from db.enums import (
    Channel,
    DeliveryKind,
    DeliveryStatus,
    SkipReason,
)
from db.models.base import metadata, of_account, one_of
from db.types import Named, UtcDateTime

#: The outbox: one row tells one recipient one thing over one channel; a PSA note has no recipient.
deliveries = Table(
    "deliveries",
    metadata,
    Column("account_id", Uuid, ForeignKey("accounts.id"), primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("handoff_id", Uuid, nullable=False),
    Column("recipient_id", Uuid),  # NULL for a note in a ticket
    Column("channel", Named(Channel), nullable=False),
    Column("kind", Named(DeliveryKind), nullable=False),
    Column("round", Integer, nullable=False),
    Column("status", Named(DeliveryStatus), nullable=False),
    Column("reason", Named(SkipReason)),
    Column("error", Text),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("created_at", UtcDateTime, nullable=False),
    Column("first_due_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),  # later than the first one when tried again
    Column("lease_until", UtcDateTime),  # a worker holds the row until then; a dead one's is taken over
    Column("leased_by", Uuid),  # a new id each lease, so that a late settle cannot touch another's
    Column("sent_at", UtcDateTime),
    Column("delivered_at", UtcDateTime),
    Column("link_used_at", UtcDateTime),  # when the claim link of the mail claimed the handoff
    Column("psa_connection_id", Uuid),  # where the note goes, as the session stood when it was asked for
    Column("psa_ticket_id", Text),
    UniqueConstraint(
        "account_id", "handoff_id", "recipient_id", "channel", "kind", "round", name="uq_deliveries_once"
    ),
    of_account("handoff_id", "handoffs", "fk_deliveries_handoff"),
    of_account("recipient_id", "users", "fk_deliveries_recipient"),
    of_account("psa_connection_id", "psa_connections", "fk_deliveries_psa_connection"),
    one_of("channel", Channel),
    one_of("kind", DeliveryKind),
    one_of("status", DeliveryStatus),
    one_of("reason", SkipReason),
    CheckConstraint("(status = 'SKIPPED') = (reason IS NOT NULL)", name="skipped_has_reason"),
    CheckConstraint("status <> 'SENDING' OR lease_until IS NOT NULL", name="sending_is_leased"),
    CheckConstraint("(lease_until IS NULL) = (leased_by IS NULL)", name="lease_is_whole"),
    CheckConstraint("status IN ('PENDING', 'SENDING') OR lease_until IS NULL", name="finished_is_not_leased"),
    CheckConstraint("status <> 'SENT' OR sent_at IS NOT NULL", name="sent_has_time"),
    CheckConstraint("status <> 'DELIVERED' OR delivered_at IS NOT NULL", name="delivered_has_time"),
    CheckConstraint("(recipient_id IS NULL) = (channel = 'PSA_NOTE')", name="recipient_unless_note"),
    CheckConstraint("(kind = 'PSA_NOTE') = (channel = 'PSA_NOTE')", name="note_is_note"),
    CheckConstraint(
        "(psa_connection_id IS NOT NULL) = (channel = 'PSA_NOTE') "
        "AND (psa_ticket_id IS NOT NULL) = (channel = 'PSA_NOTE')",
        name="note_has_ticket",
    ),
    Index(
        "uq_deliveries_once_without_recipient",
        "account_id",
        "handoff_id",
        "channel",
        "kind",
        "round",
        unique=True,
        postgresql_where=text("recipient_id IS NULL"),
        sqlite_where=text("recipient_id IS NULL"),
    ),
    Index(
        "ix_deliveries_notes_due",
        "account_id",
        "psa_connection_id",
        "due_at",
        postgresql_where=text("channel = 'PSA_NOTE' AND status IN ('PENDING', 'SENDING')"),
        sqlite_where=text("channel = 'PSA_NOTE' AND status IN ('PENDING', 'SENDING')"),
    ),
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
    of_account("delivery_id", "deliveries", "fk_delivery_attempts_delivery"),
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
    of_account("user_id", "users", "fk_connections_user"),
    Index("ix_connections_node_id", "node_id"),
)
