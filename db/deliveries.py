"""The ledger of who is told what over which channel, which is also the outbox.

    EMAIL   PENDING --begin--> SENDING --settle--> SENT | FAILED | PENDING (see `db/outbox.py`)
            PENDING --pushes.confirm, skip_unsent--> SKIPPED
    PSA_NOTE  as EMAIL, but never skipped: a ticket is told whatever became of the handoff (`db/psa_notes.py`)
    PUSH    PENDING --mark_sent--> SENT --confirm--> DELIVERED (see `db/pushes.py`)
            PENDING, SENT --fail_pushes--> FAILED, --skip_unsent--> SKIPPED
            none --confirm--> DELIVERED, where a mail tells the same and is not SENT

Each transition is one function with its allowed source states.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from db.children import pages_of
from db.enums import ASKING_KINDS, Channel, DeliveryKind, DeliveryStatus, SkipReason
from db.models import deliveries
from db.pages import Page, SortKey
from db.prepared import add_rows
from db.session import Transaction, columns_of, new_id
from db.steps import Rows
from db.types import IdList, is_listed

_OLDEST_FIRST = SortKey([deliveries.c.created_at, deliveries.c.id])


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One attempt series to tell one recipient one thing over one channel."""

    id: UUID
    account_id: UUID
    handoff_id: UUID
    recipient_id: UUID | None  #: None for a note in a ticket, and only there
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

    @property
    def person_id(self) -> UUID:
        """Whom a push or a mail tells.

        Raises:
            LookupError: it is a note in a ticket.
        """
        if self.recipient_id is None:
            raise LookupError("a note in a ticket has no recipient")
        return self.recipient_id


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """A delivery to be stored."""

    recipient_id: UUID
    channel: Channel
    due_at: datetime
    skipped: SkipReason | None = None  #: not to be made at all; kept to tell why


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
    rows = adding(handoff_id, kind, round_, wanted, at=at)
    await add_rows(tx, rows.table, rows.same, rows.each)


def adding(
    handoff_id: UUID, kind: DeliveryKind, round_: int, wanted: Sequence[NewDelivery], *, at: datetime
) -> Rows:
    """Store the deliveries of one round with the move of a handoff."""
    same = {"handoff_id": handoff_id, "kind": kind, "round": round_, "created_at": at}
    each = [
        {
            "id": new_id(),
            "recipient_id": new.recipient_id,
            "channel": new.channel,
            "first_due_at": new.due_at,
            "due_at": new.due_at,
            "status": DeliveryStatus.SKIPPED if new.skipped else DeliveryStatus.PENDING,
            "reason": new.skipped,
        }
        for new in wanted
    ]
    return Rows(deliveries, same, each)


async def add_once(
    tx: Transaction, handoff_id: UUID, kind: DeliveryKind, round_: int, new: NewDelivery, *, at: datetime
) -> bool:
    """Store a delivery unless it was stored before; return whether it was not."""
    insert_new = postgresql.insert if tx.is_postgresql else sqlite.insert
    statement = insert_new(deliveries).values(
        account_id=tx.account_id,
        id=new_id(),
        handoff_id=handoff_id,
        kind=kind,
        round=round_,
        created_at=at,
        recipient_id=new.recipient_id,
        channel=new.channel,
        first_due_at=new.due_at,
        due_at=new.due_at,
        status=DeliveryStatus.PENDING,
    )
    return await tx.execute(statement.on_conflict_do_nothing()) == 1


async def supersede(tx: Transaction, handoff_id: UUID, later: Sequence[NewDelivery]) -> None:
    """Skip what is still to be sent about a handoff and these deliveries of a later round tell again."""
    again = [(new.recipient_id, new.channel) for new in later]
    told_again = tuple_(deliveries.c.recipient_id, deliveries.c.channel).in_(again)
    await _skip(tx, handoff_id, SkipReason.SUPERSEDED, told_again)


async def is_hopeful(tx: Transaction, handoff_id: UUID) -> bool:
    """Tell whether any responder was told of a handoff or has seen it themselves, or may still be told."""
    hopeful = (
        DeliveryStatus.PENDING,
        DeliveryStatus.SENDING,
        DeliveryStatus.SENT,
        DeliveryStatus.DELIVERED,
    )
    statement = (
        select(deliveries.c.id)
        .where(tx.own(deliveries), deliveries.c.handoff_id == handoff_id)
        .where(deliveries.c.kind.in_(ASKING_KINDS))
        .where(or_(deliveries.c.status.in_(hopeful), deliveries.c.reason == SkipReason.PUSH_DELIVERED))
        .limit(1)
    )
    return await tx.fetch_value(statement) is not None


async def is_being_told(tx: Transaction, handoff_id: UUID) -> bool:
    """Tell whether it is not known yet what becomes of some delivery that asks a responder."""
    waiting = deliveries.c.status.in_((DeliveryStatus.PENDING, DeliveryStatus.SENDING))
    asks = and_(deliveries.c.handoff_id == handoff_id, deliveries.c.kind.in_(ASKING_KINDS))
    statement = select(deliveries.c.id).where(tx.own(deliveries), asks, waiting).limit(1)
    return await tx.fetch_value(statement) is not None


async def skip_unsent(tx: Transaction, handoff_id: UUID, reason: SkipReason) -> int:
    """Skip what is still to be sent or confirmed about a handoff; return how many deliveries that were.

    A mail that is SENDING is left to its worker: it may be out already, and is recorded as what it is. A note
    is left alone: the ticket is told also of what somebody has claimed or resolved meanwhile.
    """
    return await _skip(tx, handoff_id, reason)


async def lock_unsent(tx: Transaction, handoff_ids: Sequence[UUID]) -> None:
    """Lock what is still to be sent or confirmed about handoffs, before `skip_unsent` of more than one."""
    if len(handoff_ids) > 1:
        await lock(tx, deliveries.c.handoff_id.in_(handoff_ids), is_unsent(deliveries))


async def lock_ids(tx: Transaction, delivery_ids: Sequence[UUID]) -> None:
    """Lock these deliveries."""
    await lock(tx, has_id(delivery_ids))


async def by_ids(tx: Transaction, delivery_ids: Sequence[UUID]) -> dict[UUID, DeliveryRow]:
    """Return the deliveries of this account among the ids."""
    rows = await tx.fetch_all(_select(tx, deliveries.c.id.in_(delivery_ids)), DeliveryRow)
    return {row.id: row for row in rows}


async def of_handoffs(
    tx: Transaction, handoff_ids: Sequence[UUID], page: Page
) -> dict[UUID, list[DeliveryRow]]:
    """Return up to `page.limit` deliveries of each handoff, oldest first. The key is (created_at, id)."""
    return await pages_of(tx, DeliveryRow, deliveries.c.handoff_id, _OLDEST_FIRST, handoff_ids, page)


async def of_recipient(
    tx: Transaction, handoff_ids: Sequence[UUID], recipient_id: UUID
) -> dict[UUID, list[DeliveryRow]]:
    """Return what a person was, or is to be, told of each handoff, oldest first."""
    mine = and_(deliveries.c.handoff_id.in_(handoff_ids), deliveries.c.recipient_id == recipient_id)
    found: dict[UUID, list[DeliveryRow]] = {handoff_id: [] for handoff_id in handoff_ids}
    for row in await tx.fetch_all(_select(tx, mine).order_by(*_OLDEST_FIRST.order()), DeliveryRow):
        found[row.handoff_id].append(row)
    return found


async def use_link(tx: Transaction, delivery_id: UUID, *, at: datetime) -> bool:
    """Record that the claim link of a mail has claimed; False where it had before."""
    unused = and_(deliveries.c.id == delivery_id, deliveries.c.link_used_at.is_(None))
    statement = update(deliveries).where(tx.own(deliveries), unused).values(link_used_at=at)
    return await tx.execute(statement) == 1


async def is_link_used(tx: Transaction, delivery_id: UUID) -> bool:
    """Tell whether the claim link of a mail has claimed."""
    used = and_(deliveries.c.id == delivery_id, deliveries.c.link_used_at.is_not(None))
    return await tx.fetch_value(select(deliveries.c.id).where(tx.own(deliveries), used)) is not None


async def count_of_handoffs(tx: Transaction, handoff_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many deliveries of each handoff there are."""
    of = deliveries.c.handoff_id
    counted = select(of, func.count()).where(tx.own(deliveries), of.in_(handoff_ids)).group_by(of)
    found: dict[UUID, int] = {row[0]: row[1] for row in await tx.connection.execute(counted)}
    return {handoff_id: found.get(handoff_id, 0) for handoff_id in handoff_ids}


async def _skip(
    tx: Transaction, handoff_id: UUID, reason: SkipReason, *conditions: ColumnElement[bool]
) -> int:
    unsent = is_unsent(deliveries)
    await lock(tx, deliveries.c.handoff_id == handoff_id, unsent, *conditions)
    statement = (
        update(deliveries)
        .where(tx.own(deliveries), deliveries.c.handoff_id == handoff_id, unsent, *conditions)
        .values(status=DeliveryStatus.SKIPPED, reason=reason, lease_until=None, leased_by=None)
    )
    return await tx.execute(statement)


def has_id(ids: Sequence[UUID]) -> ColumnElement[bool]:
    """Return the same condition for any number of ids: a statement that the database has prepared before."""
    return is_listed(deliveries.c.id, literal(ids, IdList()))


async def lock(tx: Transaction, *conditions: ColumnElement[bool]) -> None:
    """Lock the deliveries that fulfil the conditions, by their ids: no two then wait for each other."""
    if tx.is_postgresql:
        found = select(deliveries.c.id).where(tx.own(deliveries), *conditions)
        await tx.execute(found.order_by(deliveries.c.id).with_for_update())


def _select(tx: Transaction, condition: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    return select(*columns_of(DeliveryRow, deliveries)).where(tx.own(deliveries), condition)


def is_unsent(table: FromClause) -> ColumnElement[bool]:
    """Return the condition that a delivery is still to be sent or confirmed; a note is left alone."""
    unconfirmed = and_(table.c.channel == Channel.PUSH, table.c.status == DeliveryStatus.SENT)
    is_waiting = and_(table.c.channel != Channel.PSA_NOTE, table.c.status == DeliveryStatus.PENDING)
    return or_(is_waiting, unconfirmed)
