"""The ledger of who is told what over which channel, which is also the outbox.

    EMAIL   PENDING --begin--> SENDING --settle--> SENT | FAILED | PENDING (tried again later)
            PENDING, SENDING --skip--> SKIPPED
    PUSH    PENDING --mark_pushed--> SENT --confirm_pushed--> DELIVERED
            PENDING, SENT --fail_push--> FAILED, --skip_unsent--> SKIPPED

Each transition is one function with its allowed source states. A row is leased before it is begun;
leasing crosses accounts and stands in `db/system.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, func, insert, literal, or_, select, tuple_, update

from db.enums import Channel, DeliveryKind, DeliveryStatus, HandoffState, SkipReason
from db.models import deliveries, delivery_attempts, handoffs
from db.pages import Page, SortKey
from db.session import Transaction, columns_of, new_id
from db.types import UtcDateTime

_OLDEST_FIRST = SortKey([deliveries.c.created_at, deliveries.c.id])


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One attempt series to tell one recipient one thing over one channel."""

    id: UUID
    account_id: UUID
    handoff_id: UUID
    recipient_id: UUID
    channel: Channel
    kind: DeliveryKind
    round: int
    status: DeliveryStatus
    reason: SkipReason | None  #: set where the status is SKIPPED, and only there
    error: str | None  #: the last fault, in words
    attempts: int
    created_at: datetime
    due_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """A delivery to be stored."""

    recipient_id: UUID
    channel: Channel
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Push:
    """What a push tells whom: one round of one handoff."""

    handoff_id: UUID
    recipient_id: UUID
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How one attempt ended."""

    number: int  #: 1 for the first
    finished_at: datetime
    accepted: bool
    code: int | None  #: the SMTP reply code, None where no reply came
    text: str


async def add(
    tx: Transaction,
    handoff_id: UUID,
    kind: DeliveryKind,
    round_: int,
    wanted: Sequence[NewDelivery],
    *,
    at: datetime,
) -> None:
    """Store the deliveries of one round, all in one statement."""
    shared = {
        "account_id": tx.account_id,
        "handoff_id": handoff_id,
        "kind": kind,
        "round": round_,
        "status": DeliveryStatus.PENDING,
        "created_at": at,
    }
    rows = [
        {
            **shared,
            "id": new_id(),
            "recipient_id": new.recipient_id,
            "channel": new.channel,
            "due_at": new.due_at,
        }
        for new in wanted
    ]
    if rows:
        await tx.execute(insert(deliveries), rows)


async def skip_unsent(tx: Transaction, handoff_id: UUID, reason: SkipReason) -> int:
    """Skip what is still to be sent or confirmed about a handoff; return how many deliveries that were.

    A mail that is SENDING is left to its worker: it may be out already, and is recorded as what it is.
    """
    unconfirmed = and_(deliveries.c.channel == Channel.PUSH, deliveries.c.status == DeliveryStatus.SENT)
    statement = (
        update(deliveries)
        .where(tx.own(deliveries), deliveries.c.handoff_id == handoff_id)
        .where(or_(deliveries.c.status == DeliveryStatus.PENDING, unconfirmed))
        .values(status=DeliveryStatus.SKIPPED, reason=reason, lease_until=None, leased_by=None)
    )
    return await tx.execute(statement)


async def mark_pushed(tx: Transaction, pushes: Sequence[Push], *, at: datetime) -> None:
    """Record that pushes were written to a socket of their recipients."""
    if pushes:
        await tx.execute(
            update(deliveries)
            .where(*_of_pushes(tx, pushes, Channel.PUSH), deliveries.c.status == DeliveryStatus.PENDING)
            .values(status=DeliveryStatus.SENT, sent_at=at, attempts=deliveries.c.attempts + 1)
        )


async def confirm_pushed(tx: Transaction, pushes: Sequence[Push], *, at: datetime) -> None:
    """Record that recipients have their pushes: the PUSH is DELIVERED, a mail not begun is SKIPPED."""
    if not pushes:
        return
    await tx.execute(
        update(deliveries)
        .where(*_of_pushes(tx, pushes, Channel.PUSH))
        .where(deliveries.c.status.in_((DeliveryStatus.PENDING, DeliveryStatus.SENT)))
        .values(
            status=DeliveryStatus.DELIVERED,
            sent_at=func.coalesce(deliveries.c.sent_at, literal(at, UtcDateTime)),
            delivered_at=at,
            attempts=case((deliveries.c.attempts == 0, 1), else_=deliveries.c.attempts),
        )
    )
    await tx.execute(
        update(deliveries)
        .where(*_of_pushes(tx, pushes, Channel.EMAIL), deliveries.c.status == DeliveryStatus.PENDING)
        .values(
            status=DeliveryStatus.SKIPPED,
            reason=SkipReason.PUSH_DELIVERED,
            lease_until=None,
            leased_by=None,
        )
    )


async def begin(
    tx: Transaction, delivery_id: UUID, lease: UUID, *, at: datetime, until: datetime
) -> DeliveryRow | None:
    """Take the last step before the mail server is spoken to, and return the delivery. Extends the lease.

    None where the lease was lost, or the delivery is no longer wanted: its handoff is not open, or is in
    a later round. A claim that commits first makes this statement find nothing; one that commits later
    finds the delivery SENDING and lets it finish. No lock outlives the statement's transaction.
    """
    wanted = select(handoffs.c.id).where(
        handoffs.c.account_id == deliveries.c.account_id,
        handoffs.c.id == deliveries.c.handoff_id,
        handoffs.c.round == deliveries.c.round,
        handoffs.c.state == HandoffState.OPEN,
    )
    statement = (
        update(deliveries)
        .where(*_leased(tx, delivery_id, lease), wanted.exists())
        .values(status=DeliveryStatus.SENDING, attempts=deliveries.c.attempts + 1, lease_until=until)
        .returning(*columns_of(DeliveryRow, deliveries))
    )
    row = await tx.fetch_one(statement, DeliveryRow)
    if row is not None:
        values = {"delivery_id": row.id, "number": row.attempts, "started_at": at}
        await tx.execute(insert(delivery_attempts).values(account_id=tx.account_id, **values))
    return row


async def skip(tx: Transaction, delivery_id: UUID, lease: UUID, reason: SkipReason) -> bool:
    """Record why a leased delivery is not made; False where the lease was lost."""
    return await _settle(tx, delivery_id, lease, {"status": DeliveryStatus.SKIPPED, "reason": reason})


async def settle_sent(tx: Transaction, delivery_id: UUID, lease: UUID, attempt: Attempt) -> bool:
    """Record that the mail server accepted the mail; False where the lease was lost."""
    await _finish_attempt(tx, delivery_id, attempt)
    values = {"status": DeliveryStatus.SENT, "sent_at": attempt.finished_at, "error": None}
    return await _settle(tx, delivery_id, lease, values)


async def settle_failed(tx: Transaction, delivery_id: UUID, lease: UUID, attempt: Attempt) -> bool:
    """Record that the mail will not be tried again; False where the lease was lost."""
    await _finish_attempt(tx, delivery_id, attempt)
    return await _settle(tx, delivery_id, lease, {"status": DeliveryStatus.FAILED, "error": attempt.text})


async def settle_later(
    tx: Transaction, delivery_id: UUID, lease: UUID, attempt: Attempt, *, due_at: datetime
) -> bool:
    """Record a fault that may pass and when to try again; False where the lease was lost."""
    await _finish_attempt(tx, delivery_id, attempt)
    values = {"status": DeliveryStatus.PENDING, "error": attempt.text, "due_at": due_at}
    return await _settle(tx, delivery_id, lease, values)


async def push_status(tx: Transaction, push: Push) -> DeliveryStatus | None:
    """Return where a push stands, None where there was none to make."""
    statement = select(deliveries.c.status).where(*_of_pushes(tx, [push], Channel.PUSH))
    status: DeliveryStatus | None = await tx.fetch_value(statement)
    return status


async def fail_push(tx: Transaction, push: Push) -> None:
    """Record that nobody confirmed a push within the grace period."""
    await tx.execute(
        update(deliveries)
        .where(*_of_pushes(tx, [push], Channel.PUSH))
        .where(deliveries.c.status.in_((DeliveryStatus.PENDING, DeliveryStatus.SENT)))
        .values(status=DeliveryStatus.FAILED, error="NO_RECEIPT")
    )


async def by_ids(tx: Transaction, delivery_ids: Sequence[UUID]) -> dict[UUID, DeliveryRow]:
    """Return the deliveries of this account among the ids."""
    rows = await tx.fetch_all(_select(tx, deliveries.c.id.in_(delivery_ids)), DeliveryRow)
    return {row.id: row for row in rows}


async def of_handoff(tx: Transaction, handoff_id: UUID, page: Page) -> list[DeliveryRow]:
    """Return up to `page.limit` deliveries of a handoff, oldest first. The sort key is (created_at, id)."""
    statement = _select(tx, deliveries.c.handoff_id == handoff_id)
    if page.after is not None:
        statement = statement.where(_OLDEST_FIRST.is_after(page.after))
    return await tx.fetch_all(statement.order_by(*_OLDEST_FIRST.order()).limit(page.limit), DeliveryRow)


async def count_of_handoff(tx: Transaction, handoff_id: UUID) -> int:
    """Return how many deliveries `of_handoff` walks through."""
    own = (tx.own(deliveries), deliveries.c.handoff_id == handoff_id)
    return int(await tx.fetch_value(select(func.count()).select_from(deliveries).where(*own)))


def _of_pushes(tx: Transaction, pushes: Sequence[Push], channel: Channel) -> tuple[ColumnElement[bool], ...]:
    what = tuple_(deliveries.c.handoff_id, deliveries.c.recipient_id, deliveries.c.round)
    wanted = [(push.handoff_id, push.recipient_id, push.round) for push in pushes]
    return tx.own(deliveries), deliveries.c.channel == channel, what.in_(wanted)


def _leased(tx: Transaction, delivery_id: UUID, lease: UUID) -> tuple[ColumnElement[bool], ...]:
    return tx.own(deliveries), deliveries.c.id == delivery_id, deliveries.c.leased_by == lease


async def _settle(tx: Transaction, delivery_id: UUID, lease: UUID, values: dict[str, Any]) -> bool:
    statement = (
        update(deliveries)
        .where(*_leased(tx, delivery_id, lease))
        .values(lease_until=None, leased_by=None, **values)
    )
    return await tx.execute(statement) == 1


async def _finish_attempt(tx: Transaction, delivery_id: UUID, attempt: Attempt) -> None:
    """Complete the record of the attempt, also where the lease was lost meanwhile: it did happen."""
    own = (tx.own(delivery_attempts), delivery_attempts.c.delivery_id == delivery_id)
    await tx.execute(
        update(delivery_attempts)
        .where(*own, delivery_attempts.c.number == attempt.number)
        .values(
            finished_at=attempt.finished_at,
            accepted=attempt.accepted,
            reply_code=attempt.code,
            reply_text=attempt.text,
        )
    )


def _select(tx: Transaction, condition: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    return select(*columns_of(DeliveryRow, deliveries)).where(tx.own(deliveries), condition)
