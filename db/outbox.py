"""How a worker takes a mail from due to done.

    PENDING --begin--> SENDING --settle--> SENT
                               --settle--> PENDING, due again later
                               --settle--> FAILED
    PENDING, SENDING --skip--> SKIPPED

Mails are begun (`db/mail_beginnings.py`) and settled many at once, notes in tickets one by one
(`db/psa_notes.py`). Each transition needs the lease that `db/system.py` or `db/psa_leases.py` gave. Without
it (it ended, and another worker has taken over) it changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Integer,
    Text,
    Update,
    Uuid,
    any_,
    column,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine

from db.enums import DeliveryStatus, SkipReason
from db.models import deliveries, delivery_attempts
from db.prepared import own, run, value
from db.session import Transaction
from db.types import Named, UtcDateTime


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How one attempt ended."""

    number: int  #: 1 for the first
    finished_at: datetime
    accepted: bool
    code: int | None  #: the SMTP reply code, None where no reply came
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What becomes of a delivery after an attempt."""

    delivery_id: UUID
    attempt: Attempt
    status: DeliveryStatus  #: SENT, FAILED, or PENDING to be tried again
    due_at: datetime | None = None  #: when it is to be tried again


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


async def settle_all(tx: Transaction, lease: UUID, settlements: Sequence[Settlement]) -> None:
    """Record the answers to several attempts. Where the lease was lost, the attempt is recorded alone.

    Deliveries are changed in the order of their ids, as by all who change several.
    """
    in_order = sorted(settlements, key=lambda settlement: settlement.delivery_id)
    rows = [_answer(settlement) for settlement in in_order]
    if tx.is_postgresql:
        columns = {name: [row[name] for row in rows] for name in _ANSWER}
        await run(tx, _together, {**columns, "lease": lease})
        return
    for row in rows:
        for statement in _one_by_one:
            await run(tx, statement, {**row, "lease": lease})


_ANSWER: dict[str, TypeEngine[Any]] = {
    "delivery": Uuid(),
    "attempt": Integer(),
    "ended_at": UtcDateTime(),
    "is_accepted": Boolean(),
    "code": Integer(),
    "words": Text(),
    "to_status": Named(DeliveryStatus),
    "fault": Text(),
    "accepted_at": UtcDateTime(),
    "again_at": UtcDateTime(),
}


def _answer(settlement: Settlement) -> dict[str, Any]:
    attempt, is_sent = settlement.attempt, settlement.status == DeliveryStatus.SENT
    return {
        "delivery": settlement.delivery_id,
        "attempt": attempt.number,
        "ended_at": attempt.finished_at,
        "is_accepted": attempt.accepted,
        "code": attempt.code,
        "words": attempt.text,
        "to_status": settlement.status,
        "fault": None if is_sent else attempt.text,
        "accepted_at": attempt.finished_at if is_sent else None,
        "again_at": settlement.due_at,
    }


def _settling(answer: Mapping[str, ColumnElement[Any]], *held: ColumnElement[bool]) -> tuple[Update, Update]:
    """Return the statements that complete attempts and settle deliveries as `answer` says."""
    attempts = delivery_attempts.c
    finish = (
        update(delivery_attempts)
        .where(own(delivery_attempts), attempts.delivery_id == answer["delivery"])
        .where(attempts.number == answer["attempt"])
        .values(
            finished_at=answer["ended_at"],
            accepted=answer["is_accepted"],
            reply_code=answer["code"],
            reply_text=answer["words"],
        )
    )
    settle = (
        update(deliveries)
        .where(own(deliveries), deliveries.c.id == answer["delivery"], *held)
        .where(deliveries.c.leased_by == value("lease", Uuid()))
        .values(
            lease_until=None,
            leased_by=None,
            status=answer["to_status"],
            error=answer["fault"],
            sent_at=func.coalesce(answer["accepted_at"], deliveries.c.sent_at),
            due_at=func.coalesce(answer["again_at"], deliveries.c.due_at),
        )
    )
    return finish, settle


def _settling_together() -> Update:
    """PostgreSQL: one statement for all rows, which locks them in the order of their ids."""
    arrays = [value(name, ARRAY(kind)) for name, kind in _ANSWER.items()]
    columns = [column(name, kind) for name, kind in _ANSWER.items()]
    answers = func.unnest(*arrays).table_valued(*columns, name="answers").render_derived()
    held = (
        select(deliveries.c.id)
        .where(own(deliveries), deliveries.c.id == any_(arrays[0]))
        .order_by(deliveries.c.id)
        .with_for_update()
        .cte("held")
    )
    finish, settle = _settling(dict(answers.c.items()), deliveries.c.id == held.c.id)
    return settle.add_cte(finish.returning(delivery_attempts.c.number).cte("finished"))


_together = _settling_together()
_one_by_one = _settling({name: value(name, kind) for name, kind in _ANSWER.items()})


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
