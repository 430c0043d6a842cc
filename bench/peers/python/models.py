"""The tables, as a program that keeps to SQLAlchemy's ORM declares them: what it uses of them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, ForeignKeyConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from db.enums import (
    Channel,
    ConfidenceTier,
    DeliveryKind,
    DeliveryStatus,
    HandoffIntent,
    HandoffPriority,
    HandoffState,
    Role,
    SessionStatus,
    SkipReason,
)
from db.types import Named, Ranked

_INSTANT = DateTime(timezone=True)
#: asyncpg reads PGHOST, PGPORT, PGUSER and PGDATABASE.
make_session = async_sessionmaker(
    create_async_engine(
        "postgresql+asyncpg://", pool_size=20, connect_args={"server_settings": {"jit": "off"}}
    ),
    expire_on_commit=False,
)


class Base(DeclarativeBase):
    """The rows."""


class User(Base):
    """A person of an account."""

    __tablename__ = "users"
    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    role: Mapped[Role] = mapped_column(Named(Role))
    active: Mapped[bool]
    deleted_at: Mapped[datetime | None] = mapped_column(_INSTANT)


class Node(Base):
    """A server process."""

    __tablename__ = "nodes"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    heartbeat_at: Mapped[datetime] = mapped_column(_INSTANT)


class Connection(Base):
    """A dashboard of a person."""

    __tablename__ = "connections"
    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    node_id: Mapped[UUID]
    user_id: Mapped[UUID]


class Session(Base):
    """A troubleshooting conversation."""

    __tablename__ = "sessions"
    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    status: Mapped[SessionStatus] = mapped_column(Named(SessionStatus))
    problem_summary: Mapped[str | None]
    problem_domain: Mapped[str | None]
    step_count: Mapped[int]
    confidence_tier: Mapped[ConfidenceTier | None] = mapped_column(Named(ConfidenceTier))
    active_branch_id: Mapped[UUID | None]
    handoff_count: Mapped[int]
    escalated_to_id: Mapped[UUID | None]
    escalation_package: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    psa_ticket_id: Mapped[str | None]
    psa_connection_id: Mapped[UUID | None]
    actual_cause: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(_INSTANT)
    resolved_at: Mapped[datetime | None] = mapped_column(_INSTANT)

    @property
    def branching(self) -> bool:
        """Whether lines of investigation are kept apart."""
        return self.active_branch_id is not None


class Handoff(Base):
    """An act of passing a session on."""

    __tablename__ = "handoffs"
    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    session_id: Mapped[UUID]
    intent: Mapped[HandoffIntent] = mapped_column(Named(HandoffIntent))
    priority: Mapped[HandoffPriority] = mapped_column(Ranked(HandoffPriority))
    state: Mapped[HandoffState] = mapped_column(Named(HandoffState))
    notes: Mapped[str | None]
    snapshot: Mapped[dict[str, Any]] = mapped_column(JSONB, deferred=True)
    reach_online: Mapped[int] = mapped_column(deferred=True)
    reach_email: Mapped[int] = mapped_column(deferred=True)
    handed_off_by_id: Mapped[UUID] = mapped_column(deferred=True)
    created_at: Mapped[datetime] = mapped_column(_INSTANT)
    opened_at: Mapped[datetime] = mapped_column(_INSTANT, deferred=True)
    reach_check_at: Mapped[datetime | None] = mapped_column(_INSTANT, deferred=True)
    claimed_by_id: Mapped[UUID | None]
    claimed_at: Mapped[datetime | None] = mapped_column(_INSTANT)
    session: Mapped[Session] = relationship(lazy="raise", viewonly=True)
    __table_args__ = (
        ForeignKeyConstraint(["account_id", "session_id"], ["sessions.account_id", "sessions.id"]),
    )


class Delivery(Base):
    """What is to be told to whom."""

    __tablename__ = "deliveries"
    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    handoff_id: Mapped[UUID]
    recipient_id: Mapped[UUID]
    channel: Mapped[Channel] = mapped_column(Named(Channel))
    kind: Mapped[DeliveryKind] = mapped_column(Named(DeliveryKind))
    round: Mapped[int]
    status: Mapped[DeliveryStatus] = mapped_column(Named(DeliveryStatus))
    reason: Mapped[SkipReason | None] = mapped_column(Named(SkipReason))
    created_at: Mapped[datetime] = mapped_column(_INSTANT)
    first_due_at: Mapped[datetime] = mapped_column(_INSTANT)
    due_at: Mapped[datetime] = mapped_column(_INSTANT)


class Counter(Base):
    """The number of an account's last event."""

    __tablename__ = "account_counters"
    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    event_sequence: Mapped[int] = mapped_column(BigInteger)


class Event(Base):
    """Something that happened."""

    __tablename__ = "events"
    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    kind: Mapped[str]
    at: Mapped[datetime] = mapped_column(_INSTANT)
    actor_id: Mapped[UUID | None]
    session_id: Mapped[UUID | None]
    handoff_id: Mapped[UUID | None]
    intent: Mapped[HandoffIntent | None] = mapped_column(Named(HandoffIntent))
    except_id: Mapped[UUID | None]
    summary: Mapped[str]
