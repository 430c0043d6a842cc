"""How a worker takes a mail from due to done.

    PENDING --begin--> SENDING --settle--> SENT
                               --settle--> PENDING, due again later
                               --settle--> FAILED
    PENDING, SENDING --skip--> SKIPPED

Mails are begun and settled many at once, notes in tickets one by one (`db/psa_notes.py`). Each transition
needs the lease that `db/system.py` or `db/psa_leases.py` gave. Without it (it ended, and another worker has
taken over) it changes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    FromClause,
    Insert,
    Integer,
    Select,
    Text,
    Update,
    Uuid,
    any_,
    case,
    column,
    func,
    insert,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.dml import ReturningUpdate
from sqlalchemy.types import TypeEngine

from db.batches import among
from db.deliveries import DeliveryRow, fail_pushes, failing_pushes
from db.enums import DeliveryKind, DeliveryStatus, HandoffState, SkipReason
from db.models import deliveries, delivery_attempts, handoffs
from db.prepared import own, run, value
from db.session import Transaction, columns_of
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


async def begin_all(
    tx: Transaction, pushes: Mapping[UUID, UUID | None], lease: UUID, *, at: datetime, until: datetime
) -> dict[UUID, DeliveryRow]:
    """Take the last step before the mail server is spoken to; return what was begun. Extends the lease.

    Left out is each whose lease was lost, or that is no longer wanted, because its handoff is not in the
    state that it tells of. A claim that commits first makes this statement find nothing; one that commits
    later finds the delivery SENDING and lets it finish. No lock outlives the statement's transaction.

    Args:
        tx: The transaction.
        pushes: By the deliveries to begin, the push that the mail stands in for: nobody has confirmed it.
        lease: Under which the deliveries are held.
        at: When the attempts begin.
        until: When other workers may take over.
    """
    values = {"lease": lease, "until": until, "at": at, "ids": list(pushes)}
    if tx.is_postgresql:
        values["pushes"] = list(pushes.values())
        return _by_id(await run(tx, _begin_together, values))
    begun = _by_id(await run(tx, _begin[False], values))
    if begun:
        await run(tx, _try[False], {"at": at, "ids": list(begun)})
        await fail_pushes(tx, [push_id for id_ in begun if (push_id := pushes[id_]) is not None])
    return begun


def _by_id(rows: Iterable[Sequence[Any]]) -> dict[UUID, DeliveryRow]:
    return {row[0]: DeliveryRow(*row) for row in rows}


def _beginning(is_asked_for: ColumnElement[bool]) -> ReturningUpdate[Any]:
    tells_of = case(
        (deliveries.c.kind == DeliveryKind.CLAIMED, HandoffState.CLAIMED.value), else_=HandoffState.OPEN.value
    )
    # By each delivery: as a join, PostgreSQL went through all deliveries of all handoffs of the account.
    state = select(type_coerce(handoffs.c.state, Text)).where(
        handoffs.c.account_id == deliveries.c.account_id, handoffs.c.id == deliveries.c.handoff_id
    )
    return (
        update(deliveries)
        .where(own(deliveries), is_asked_for, state.scalar_subquery() == tells_of)
        .where(deliveries.c.leased_by == value("lease", Uuid()))
        .values(
            status=DeliveryStatus.SENDING,
            attempts=deliveries.c.attempts + 1,
            lease_until=value("until", UtcDateTime()),
        )
        .returning(*columns_of(DeliveryRow, deliveries))
    )


def _trying(begun: FromClause, *conditions: ColumnElement[bool]) -> Insert:
    started = select(begun.c.account_id, begun.c.id, begun.c.attempts, value("at", UtcDateTime()))
    to = ["account_id", "delivery_id", "number", "started_at"]
    return insert(delivery_attempts).from_select(to, started.where(*conditions))


_begin = among(_beginning, deliveries.c.id)
_try = among(lambda is_asked_for: _trying(deliveries, own(deliveries), is_asked_for), deliveries.c.id)


def _beginning_together() -> Select[Any]:
    """PostgreSQL: one statement, which locks all that it is about to change before it changes the first."""
    ids, pushes = value("ids", ARRAY(Uuid())), value("pushes", ARRAY(Uuid()))
    asked = func.unnest(ids, pushes).table_valued(column("id", Uuid), column("push_id", Uuid), name="asked")
    asked = asked.render_derived()
    held = (
        select(deliveries.c.id)
        .where(own(deliveries), deliveries.c.id == any_(func.array_cat(ids, pushes, type_=ARRAY(Uuid()))))
        .order_by(deliveries.c.id)
        .with_for_update()
        .cte("held")
    )
    are_held = select(func.count()).select_from(held).scalar_subquery() >= 0
    begun = _begin[True].where(are_held).cte("begun")
    tried = _trying(begun).returning(delivery_attempts.c.number).cte("tried")
    failed = (
        failing_pushes(own(deliveries))
        .where(deliveries.c.id.in_(select(asked.c.push_id).join(begun, begun.c.id == asked.c.id)))
        .returning(deliveries.c.id)
        .cte("failed")
    )
    return select(*begun.c).add_cte(tried, failed)


_begin_together = _beginning_together()


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
