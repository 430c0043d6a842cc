"""What became of the deliveries of a window's escalations, by channel, counted by the database."""

from dataclasses import dataclass

from sqlalchemy import CTE, FromClause, and_, case, func, select, true

from db.durations import elapsed, in_seconds, percentiles, ranked
from db.enums import Channel, DeliveryStatus
from db.models import deliveries
from db.session import Transaction
from db.statistics import Window, made_in


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFigures:
    """Where the deliveries of some escalations over one channel stand; each counts once."""

    channel: Channel
    sent: int
    delivered: int
    failed: int
    skipped: int
    median_seconds: float | None  #: from first due to delivered, else to sent, of those sent or delivered
    p99_seconds: float | None


_ARRIVED = (DeliveryStatus.SENT, DeliveryStatus.DELIVERED)


async def by_channel(tx: Transaction, window: Window) -> dict[Channel, ChannelFigures]:
    """Return the figures of each channel over which there were deliveries of the window's escalations."""
    made = made_in(tx, window)
    whole, each = _with_deliveries(tx, made)
    lag = elapsed(tx, each.c.first_due_at, func.coalesce(each.c.delivered_at, each.c.sent_at))
    of_each = (
        select(each.c.channel, each.c.status, case((each.c.status.in_(_ARRIVED), lag)).label("lag"))
        .select_from(whole)
        .subquery()
    )
    rows = of_each if tx.is_postgresql else ranked(of_each, ["channel"], ["lag"])
    counted = [
        func.count(case((rows.c.status == status, 1)))
        for status in (*_ARRIVED, DeliveryStatus.FAILED, DeliveryStatus.SKIPPED)
    ]
    statement = select(rows.c.channel, *counted, *percentiles(tx, rows, "lag", (50, 99)))
    found = await tx.connection.execute(statement.group_by(rows.c.channel))
    return {
        row[0]: ChannelFigures(
            channel=row[0],
            sent=row[1],
            delivered=row[2],
            failed=row[3],
            skipped=row[4],
            median_seconds=in_seconds(row[5]),
            p99_seconds=in_seconds(row[6]),
        )
        for row in found
    }


def _with_deliveries(tx: Transaction, made: CTE) -> tuple[FromClause, FromClause]:
    """Join to each escalation its deliveries; PostgreSQL is told to look into the index for each."""
    if tx.is_postgresql:
        its_own = select(deliveries).where(tx.own(deliveries), deliveries.c.handoff_id == made.c.id)
        # Without OFFSET it would become a plain join, for which all deliveries ever made are read.
        each: FromClause = its_own.offset(0).lateral("each")
        return made.join(each, true()), each
    return made.join(deliveries, and_(tx.own(deliveries), deliveries.c.handoff_id == made.c.id)), deliveries
