"""Whether every committed escalation reached its deliveries, computed from the rows as they are."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, Subquery, and_, case, func, or_, select

from db.enums import ASKING_KINDS, Channel, DeliveryStatus, HandoffIntent, HandoffState, SkipReason
from db.models import deliveries, handoffs
from db.session import Transaction

#: How late a delivery may be before it counts as overdue.
PATIENCE = timedelta(seconds=60)
_OPEN = (DeliveryStatus.PENDING, DeliveryStatus.SENDING)
_TOLD = (DeliveryStatus.SENT, DeliveryStatus.DELIVERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What became of the escalations of a time."""

    escalations: int
    settled: int  #: every delivery has reached an end
    overdue: int  #: a delivery should have been made and was not
    unreached: int  #: open, and no delivery has arrived or may still arrive
    median_lag_seconds: float | None  #: from due to sent, over all mails sent; None without any
    p99_lag_seconds: float | None


async def audit(tx: Transaction, *, since: datetime, now: datetime) -> Audit:
    """Audit the account's escalations made since then."""
    made = and_(tx.own(handoffs), handoffs.c.intent == HandoffIntent.ESCALATE, handoffs.c.created_at >= since)
    of_each = _of_each(made, now).subquery()
    totals = select(
        func.count(),
        func.coalesce(func.sum(case((of_each.c.open == 0, 1), else_=0)), 0),
        func.coalesce(func.sum(case((of_each.c.overdue > 0, 1), else_=0)), 0),
        func.coalesce(func.sum(case((_reached_nobody(of_each), 1), else_=0)), 0),
    )
    row = (await tx.connection.execute(totals)).one()
    lags = await _lags(tx, made)
    return Audit(
        escalations=row[0],
        settled=int(row[1]),
        overdue=int(row[2]),
        unreached=int(row[3]),
        median_lag_seconds=percentile(lags, 0.5),
        p99_lag_seconds=percentile(lags, 0.99),
    )


def percentile(ascending: list[float], share: float) -> float | None:
    """Return the value below or at which `share` of the values lie (nearest rank); None without any."""
    if not ascending:
        return None
    rank = -(-len(ascending) * share // 1)  # rounded up
    return ascending[max(int(rank), 1) - 1]


def _of_each(made: ColumnElement[bool], now: datetime) -> Select[tuple[object, ...]]:
    """Count, for each escalation, the deliveries that are open, overdue and arrived."""
    tells = and_(
        deliveries.c.account_id == handoffs.c.account_id,
        deliveries.c.handoff_id == handoffs.c.id,
        deliveries.c.kind.in_(ASKING_KINDS),
    )
    is_open = deliveries.c.status.in_(_OPEN)
    # Whoever has turned pushes off and acknowledges an escalation leaves only a mail that is not needed.
    has_arrived = or_(deliveries.c.status.in_(_TOLD), deliveries.c.reason == SkipReason.PUSH_DELIVERED)
    is_overdue = and_(is_open, deliveries.c.first_due_at < now - PATIENCE)
    return (
        select(
            handoffs.c.id,
            handoffs.c.state,
            func.count(case((is_open, 1))).label("open"),
            func.count(case((is_overdue, 1))).label("overdue"),
            func.count(case((has_arrived, 1))).label("told"),
        )
        .select_from(handoffs.outerjoin(deliveries, tells))
        .where(made)
        .group_by(handoffs.c.id, handoffs.c.state)
    )


def _reached_nobody(of_each: Subquery) -> ColumnElement[bool]:
    """Return the condition that an escalation waits for somebody, and nobody knows.

    One that is not open waits no more: somebody claimed it, or its session was resolved.
    """
    is_waiting = of_each.c.state == HandoffState.OPEN
    return and_(is_waiting, of_each.c.open == 0, of_each.c.told == 0)


async def _lags(tx: Transaction, made: ColumnElement[bool]) -> list[float]:
    statement = (
        select(deliveries.c.first_due_at, deliveries.c.sent_at)
        .join(
            handoffs,
            and_(handoffs.c.account_id == deliveries.c.account_id, handoffs.c.id == deliveries.c.handoff_id),
        )
        .where(made, deliveries.c.sent_at.is_not(None), deliveries.c.channel != Channel.PSA_NOTE)
    )
    rows = await tx.connection.execute(statement)
    return sorted(max(0.0, (sent_at - due_at).total_seconds()) for due_at, sent_at in rows)
