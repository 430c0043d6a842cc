"""How a worker takes a mail, or a note, from due to done.

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
    and_,
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
    code: int | None  #: of the reply, by SMTP or HTTP; None where none came
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
    is_leased = and_(deliveries.c.id == delivery_id, deliveries.c.leased_by == lease)
    skipped = {"status": DeliveryStatus.SKIPPED, "reason": reason, "lease_until": None, "leased_by": None}
    return await tx.execute(update(deliveries).where(tx.own(deliveries), is_leased).values(skipped)) == 1


async def settle(tx: Transaction, lease: UUID, settlement: Settlement) -> bool:
    """Record the answer to an attempt; False where the lease was lost: the attempt is recorded alone."""
    values = {**_answer(settlement), "lease": lease}
    await run(tx, _FINISH, values)
    return bool(await run(tx, _SETTLE, values))


async def settle_all(tx: Transaction, lease: UUID, settlements: Sequence[Settlement]) -> None:
    """Record the answers to several attempts. Where the lease was lost, the attempt is recorded alone.

    Deliveries are changed in the order of their ids, as by all who change several.
    """
    in_order = sorted(settlements, key=lambda settlement: settlement.delivery_id)
    if tx.is_postgresql:
        rows = [_answer(settlement) for settlement in in_order]
        columns = {name: [row[name] for row in rows] for name in _ANSWER}
        await run(tx, _TOGETHER, {**columns, "lease": lease})
        return
    for settlement in in_order:
        await settle(tx, lease, settlement)


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


_TOGETHER = _settling_together()
_FINISH, _settle = _settling({name: value(name, kind) for name, kind in _ANSWER.items()})
_SETTLE = _settle.returning(deliveries.c.id)
