"""All that an account keeps of its work, in pages of an order that stays.

Each page begins after the last key of the one before, so that it costs the same however far it lies. The
pages agree with each other in one snapshot (`Database.snapshot`).
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import Column, ColumnElement, FromClause, Table, and_, or_, select

from db.enums import Channel, DeliveryKind, DeliveryStatus, Role, SkipReason
from db.events import EventRow
from db.handoffs import HandoffRow
from db.models import (
    deliveries,
    delivery_attempts,
    events,
    handoffs,
    session_messages,
    sessions,
    teams,
    users,
)
from db.pages import SortKey
from db.session import Transaction, columns_of
from db.session_messages import MessageRow
from db.sessions import SessionRow
from db.teams import TeamRow

R = TypeVar("R")

PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Of which handoffs an export is; None: from the first, or to the last."""

    since: datetime | None = None
    until: datetime | None = None  #: the first instant after it

    def holds(self, at: Column[datetime]) -> ColumnElement[bool] | None:
        """Return the condition that an instant lies in the span; None where every instant does."""
        conditions = [] if self.since is None else [at >= self.since]
        if self.until is not None:
            conditions.append(at < self.until)
        return and_(*conditions) if conditions else None


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person, deleted ones too: history names them."""

    id: UUID
    email: str
    name: str
    role: Role
    active: bool
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class ToldRow:
    """A delivery, with all that an audit asks of it."""

    id: UUID
    handoff_id: UUID
    recipient_id: UUID | None  #: None for a note in a ticket
    channel: Channel
    kind: DeliveryKind
    round: int
    status: DeliveryStatus
    reason: SkipReason | None
    error: str | None
    attempts: int
    created_at: datetime
    first_due_at: datetime
    due_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    link_used_at: datetime | None
    psa_connection_id: UUID | None  #: of a note in a ticket, as the next
    psa_ticket_id: str | None


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One conversation with a mail server or a PSA."""

    delivery_id: UUID
    number: int  #: 1, 2, 3 … within the delivery
    started_at: datetime
    finished_at: datetime | None
    accepted: bool
    reply_code: int | None
    reply_text: str | None


@dataclass(frozen=True, slots=True)
class Part(Generic[R]):
    """The rows of one kind, in the order of an index."""

    row: type[R]
    table: Table
    key: Sequence[Column[Any]]

    async def pages(
        self, tx: Transaction, *conditions: ColumnElement[bool] | None, source: FromClause | None = None
    ) -> AsyncIterator[list[R]]:
        """Yield the account's rows in order, a page at a time. `source`: the table, joined to others."""
        order, after = SortKey(self.key), None
        statement = (
            select(*columns_of(self.row, self.table))
            .select_from(self.table if source is None else source)
            .where(tx.own(self.table), *(given for given in conditions if given is not None))
            .order_by(*order.order())
            .limit(PAGE)
        )
        while True:
            following = statement if after is None else statement.where(order.is_after(after))
            rows = await tx.fetch_all(following, self.row)
            if rows:
                yield rows
            if len(rows) < PAGE:
                return
            after = tuple(getattr(rows[-1], column.name) for column in self.key)


_TEAMS = Part(TeamRow, teams, [teams.c.id])
_PEOPLE = Part(PersonRow, users, [users.c.id])
_SESSIONS = Part(SessionRow, sessions, [sessions.c.created_at, sessions.c.id])
_HANDOFFS = Part(HandoffRow, handoffs, [handoffs.c.created_at, handoffs.c.id])
_EVENTS = Part(EventRow, events, [events.c.sequence])
_DELIVERIES = Part(ToldRow, deliveries, [deliveries.c.id])
_ATTEMPTS = Part(AttemptRow, delivery_attempts, [delivery_attempts.c.delivery_id, delivery_attempts.c.number])


def all_teams(tx: Transaction) -> AsyncIterator[list[TeamRow]]:
    """Yield the account's teams by id."""
    return _TEAMS.pages(tx)


def all_people(tx: Transaction) -> AsyncIterator[list[PersonRow]]:
    """Yield the account's people by id."""
    return _PEOPLE.pages(tx)


def sessions_of(tx: Transaction, span: Span) -> AsyncIterator[list[SessionRow]]:
    """Yield the sessions that began in the span or were handed off in it, oldest first."""
    in_span = span.holds(sessions.c.created_at)
    if in_span is None:
        return _SESSIONS.pages(tx)
    its_handoffs = select(handoffs.c.id).where(
        tx.own(handoffs), handoffs.c.session_id == sessions.c.id, _always(span.holds(handoffs.c.created_at))
    )
    return _SESSIONS.pages(tx, or_(in_span, its_handoffs.exists()))


def handoffs_of(tx: Transaction, span: Span) -> AsyncIterator[list[HandoffRow]]:
    """Yield the handoffs made in the span, oldest first."""
    return _HANDOFFS.pages(tx, span.holds(handoffs.c.created_at))


def events_of(tx: Transaction, span: Span) -> AsyncIterator[list[EventRow]]:
    """Yield the timelines of the handoffs made in the span, in the order of the numbers."""
    source = events.join(handoffs, and_(tx.own(handoffs), handoffs.c.id == events.c.handoff_id))
    return _EVENTS.pages(tx, span.holds(handoffs.c.created_at), source=source)


def deliveries_of(tx: Transaction, span: Span) -> AsyncIterator[list[ToldRow]]:
    """Yield the deliveries about the handoffs made in the span, by id."""
    source = deliveries.join(handoffs, and_(tx.own(handoffs), handoffs.c.id == deliveries.c.handoff_id))
    return _DELIVERIES.pages(tx, span.holds(handoffs.c.created_at), source=source)


def attempts_of(tx: Transaction, span: Span) -> AsyncIterator[list[AttemptRow]]:
    """Yield the attempts of those deliveries, by delivery and number."""
    source = delivery_attempts.join(
        deliveries, and_(tx.own(deliveries), deliveries.c.id == delivery_attempts.c.delivery_id)
    ).join(handoffs, and_(tx.own(handoffs), handoffs.c.id == deliveries.c.handoff_id))
    return _ATTEMPTS.pages(tx, span.holds(handoffs.c.created_at), source=source)


async def messages_of(tx: Transaction, session_ids: Sequence[UUID]) -> dict[UUID, list[MessageRow]]:
    """Return the messages of each session in order."""
    found: dict[UUID, list[MessageRow]] = {session_id: [] for session_id in session_ids}
    statement = (
        select(*columns_of(MessageRow, session_messages))
        .where(tx.own(session_messages), session_messages.c.session_id.in_(session_ids))
        .order_by(session_messages.c.session_id, session_messages.c.index)
    )
    for row in await tx.fetch_all(statement, MessageRow):
        found[row.session_id].append(row)
    return found


def _always(condition: ColumnElement[bool] | None) -> ColumnElement[bool]:
    assert condition is not None  # noqa: S101 (the span has an end on one side: the caller looked)
    return condition
