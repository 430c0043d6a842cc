"""Notes in tickets: deliveries without a recipient.

    PENDING --begin--> SENDING --settle--> SENT
                               --settle--> PENDING, due again later
                               --settle--> FAILED --ask_again--> PENDING

The settling is that of mails (`db/outbox.py`). A note may be begun by the one worker that has leased its
connection (`db/psa_leases.py`). Until the connection has passed a test, its notes wait, and `error` says so.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Insert, and_, case, insert, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from db import deliveries as ledger
from db.deliveries import DeliveryRow
from db.enums import Channel, DeliveryKind, DeliveryStatus
from db.models import deliveries, delivery_attempts, handoffs, psa_connections
from db.prepared import ACCOUNT, value
from db.session import Transaction, columns_of, new_id
from db.steps import Moved, Step, inserting
from db.types import UtcDateTime

#: Why a note waits that nobody has tried.
UNTESTED = "The PSA connection has passed no test yet. The note goes as soon as testPsaConnection succeeds."


@dataclass(frozen=True, slots=True)
class NoteRow:
    """A note that is to be put into a ticket."""

    id: UUID
    account_id: UUID
    handoff_id: UUID
    psa_connection_id: UUID
    psa_ticket_id: str
    round: int
    attempts: int  #: the present one included
    first_due_at: datetime  #: when it was asked for, last


async def add_once(
    tx: Transaction,
    handoff_id: UUID,
    connection_id: UUID,
    ticket_id: str,
    *,
    at: datetime,
    waits_for: str | None,
) -> bool:
    """Store the note of a handoff, due at once, unless it has one; return whether it had none.

    `waits_for` says what it waits for, None where for nothing.
    """
    insert_new = postgresql.insert if tx.is_postgresql else sqlite.insert
    statement = insert_new(deliveries).values(
        account_id=tx.account_id,
        id=new_id(),
        handoff_id=handoff_id,
        channel=Channel.PSA_NOTE,
        kind=DeliveryKind.PSA_NOTE,
        round=0,
        status=DeliveryStatus.PENDING,
        created_at=at,
        first_due_at=at,
        due_at=at,
        error=waits_for,
        psa_connection_id=connection_id,
        psa_ticket_id=ticket_id,
    )
    return await tx.execute(statement.on_conflict_do_nothing()) == 1


def adding(
    connection_id: UUID, ticket_id: str, *, at: datetime, due_at: datetime, waits_for: str | None
) -> Step:
    """Store the note of a new handoff."""
    values = {
        "note_id": new_id(),
        "note_channel": Channel.PSA_NOTE,
        "note_kind": DeliveryKind.PSA_NOTE,
        "note_status": DeliveryStatus.PENDING,
        "note_connection_id": connection_id,
        "note_ticket_id": ticket_id,
        "note_due_at": due_at,
        "note_at": at,
        "note_waits_for": waits_for,
    }
    return Step(_add, values)


async def of_handoff(tx: Transaction, handoff_id: UUID) -> DeliveryRow | None:
    """Return the note of a handoff, None where it was never asked for."""
    own = (tx.own(deliveries), deliveries.c.handoff_id == handoff_id)
    statement = select(*columns_of(DeliveryRow, deliveries)).where(*own)
    return await tx.fetch_one(statement.where(deliveries.c.channel == Channel.PSA_NOTE), DeliveryRow)


async def ask_again(
    tx: Transaction,
    delivery_id: UUID,
    connection_id: UUID,
    ticket_id: str,
    *,
    at: datetime,
    waits_for: str | None,
) -> bool:
    """Let a note that failed be tried again, in the session's present ticket; False where it had not.

    Its last fault stays to be read, unless it `waits_for` something.
    """
    failed = and_(deliveries.c.id == delivery_id, deliveries.c.status == DeliveryStatus.FAILED)
    values: dict[str, object] = {
        "status": DeliveryStatus.PENDING,
        "first_due_at": at,
        "due_at": at,
        "psa_connection_id": connection_id,
        "psa_ticket_id": ticket_id,
    }
    if waits_for is not None:
        values["error"] = waits_for
    return await tx.execute(update(deliveries).where(tx.own(deliveries), failed).values(values)) == 1


async def end_wait_for_test(tx: Transaction, connection_id: UUID, *, at: datetime) -> None:
    """Let the notes go that waited until their connection passed a test, as if asked for now."""
    waits = and_(
        deliveries.c.psa_connection_id == connection_id,
        deliveries.c.status == DeliveryStatus.PENDING,
        deliveries.c.error == UNTESTED,
    )
    now = literal(at, UtcDateTime)
    later = case((deliveries.c.due_at > now, deliveries.c.due_at), else_=now)
    await ledger.lock(tx, waits)
    values = {"error": None, "first_due_at": later, "due_at": later}
    await tx.execute(update(deliveries).where(tx.own(deliveries), waits).values(values))


async def next_due(tx: Transaction, connection_id: UUID, *, now: datetime) -> UUID | None:
    """Return the note of a connection that is due longest, None where none is."""
    statement = (
        select(deliveries.c.id)
        .where(tx.own(deliveries), deliveries.c.psa_connection_id == connection_id)
        .where(deliveries.c.channel == Channel.PSA_NOTE, deliveries.c.due_at <= now)
        .where(deliveries.c.status.in_((DeliveryStatus.PENDING, DeliveryStatus.SENDING)))
        .where(or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until < now))
        .order_by(deliveries.c.due_at)
        .limit(1)
    )
    due: UUID | None = await tx.fetch_value(statement)
    return due


async def begin(
    tx: Transaction, connection_id: UUID, delivery_id: UUID, lease: UUID, *, at: datetime, until: datetime
) -> NoteRow | None:
    """Take the last step before the PSA is spoken to, and return the note. Extends the lease.

    None where the lease of the connection was lost, the connection was paused, or the note is not due
    any more.
    """
    still_mine = and_(psa_connections.c.leased_by == lease, psa_connections.c.paused.is_(False))
    held = update(psa_connections).where(tx.own(psa_connections), psa_connections.c.id == connection_id)
    if await tx.execute(held.where(still_mine).values(lease_until=until)) == 0:
        return None
    is_free = or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until < at)
    statement = (
        update(deliveries)
        .where(tx.own(deliveries), deliveries.c.id == delivery_id, is_free)
        .where(deliveries.c.status.in_((DeliveryStatus.PENDING, DeliveryStatus.SENDING)))
        .values(
            status=DeliveryStatus.SENDING,
            attempts=deliveries.c.attempts + 1,
            leased_by=lease,
            lease_until=until,
        )
        .returning(*columns_of(NoteRow, deliveries))
    )
    row = await tx.fetch_one(statement, NoteRow)
    if row is not None:
        values = {"delivery_id": row.id, "number": row.attempts, "started_at": at}
        await tx.execute(insert(delivery_attempts).values(account_id=tx.account_id, **values))
    return row


def _add(moved: Moved) -> Insert:
    columns = deliveries.c
    due_at = value("note_due_at", columns.due_at)
    return inserting(
        deliveries,
        {
            "account_id": ACCOUNT,
            "id": value("note_id", columns.id),
            "handoff_id": moved(handoffs.c.id),
            "channel": value("note_channel", columns.channel),
            "kind": value("note_kind", columns.kind),
            "round": moved(handoffs.c.round),
            "status": value("note_status", columns.status),
            "created_at": value("note_at", columns.created_at),
            "first_due_at": due_at,
            "due_at": due_at,
            "error": value("note_waits_for", columns.error),
            "psa_connection_id": value("note_connection_id", columns.psa_connection_id),
            "psa_ticket_id": value("note_ticket_id", columns.psa_ticket_id),
        },
    )
