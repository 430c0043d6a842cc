"""How a worker takes a mail from due to done.

    PENDING --begin--> SENDING --settle_sent--> SENT
                               --settle_later--> PENDING, due again later
                               --settle_failed--> FAILED
    PENDING, SENDING --skip--> SKIPPED

Each needs the lease that `db/system.py` gave. Without it (it ended, and another worker has taken over)
a transition changes nothing and says so.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, case, insert, select, type_coerce, update

from db.deliveries import DeliveryRow
from db.enums import DeliveryKind, DeliveryStatus, HandoffState, SkipReason
from db.models import deliveries, delivery_attempts, handoffs
from db.session import Transaction, columns_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How one attempt ended."""

    number: int  #: 1 for the first
    finished_at: datetime
    accepted: bool
    code: int | None  #: the SMTP reply code, None where no reply came
    text: str


async def begin(
    tx: Transaction, delivery_id: UUID, lease: UUID, *, at: datetime, until: datetime
) -> DeliveryRow | None:
    """Take the last step before the mail server is spoken to, and return the delivery. Extends the lease.

    None where the lease was lost, or the delivery is no longer wanted, because its handoff is not in the
    state that it tells of. A claim that commits first makes this statement find nothing; one that commits
    later finds the delivery SENDING and lets it finish. No lock outlives the statement's transaction.
    """
    tells_of = case(
        (deliveries.c.kind == DeliveryKind.CLAIMED, HandoffState.CLAIMED.value), else_=HandoffState.OPEN.value
    )
    wanted = select(handoffs.c.id).where(
        handoffs.c.account_id == deliveries.c.account_id,
        handoffs.c.id == deliveries.c.handoff_id,
        type_coerce(handoffs.c.state, Text) == tells_of,
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
