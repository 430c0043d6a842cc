"""How mails are begun: the last step before the mail server is spoken to."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Insert,
    Select,
    Text,
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

from db.deliveries import DeliveryRow
from db.enums import DeliveryKind, DeliveryStatus, HandoffState
from db.models import deliveries, delivery_attempts, handoffs
from db.prepared import listed, own, run, value
from db.pushes import fail_pushes, failing_pushes
from db.session import Transaction, columns_of
from db.types import IdList, UtcDateTime


async def begin_all(
    tx: Transaction, pushes: Mapping[UUID, UUID | None], lease: UUID, *, at: datetime, until: datetime
) -> dict[UUID, DeliveryRow]:
    """Mark mails SENDING and record that an attempt began; return what was begun. Extends the lease.

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
        return _by_id(await run(tx, _BEGIN_TOGETHER, values))
    begun = _by_id(await run(tx, _BEGIN, values))
    if begun:
        await run(tx, _TRY, {"at": at, "ids": list(begun)})
        await fail_pushes(tx, [push_id for id_ in begun if (push_id := pushes[id_]) is not None])
    return begun


def _by_id(rows: Iterable[Sequence[Any]]) -> dict[UUID, DeliveryRow]:
    return {row[0]: DeliveryRow(*row) for row in rows}


def _beginning() -> ReturningUpdate[Any]:
    tells_of = case(
        (deliveries.c.kind == DeliveryKind.CLAIMED, HandoffState.CLAIMED.value), else_=HandoffState.OPEN.value
    )
    # By each delivery: as a join, PostgreSQL went through all deliveries of all handoffs of the account.
    state = select(type_coerce(handoffs.c.state, Text)).where(
        handoffs.c.account_id == deliveries.c.account_id, handoffs.c.id == deliveries.c.handoff_id
    )
    return (
        update(deliveries)
        .where(own(deliveries), listed(deliveries.c.id), state.scalar_subquery() == tells_of)
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


_BEGIN = _beginning()
_TRY = _trying(deliveries, own(deliveries), listed(deliveries.c.id))


def _beginning_together() -> Select[Any]:
    """PostgreSQL: one statement, which locks all that it is about to change before it changes the first."""
    ids, pushes = value("ids", IdList()), value("pushes", ARRAY(Uuid()))
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
    begun = _BEGIN.where(are_held).cte("begun")
    tried = _trying(begun).returning(delivery_attempts.c.number).cte("tried")
    failed = (
        failing_pushes(own(deliveries))
        .where(deliveries.c.id.in_(select(asked.c.push_id).join(begun, begun.c.id == asked.c.id)))
        .returning(deliveries.c.id)
        .cte("failed")
    )
    return select(*begun.c).add_cte(tried, failed)


_BEGIN_TOGETHER = _beginning_together()
