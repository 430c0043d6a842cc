"""What an operator watches, counted over all accounts; no figure names anybody."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select, type_coerce

from db.audit import PATIENCE
from db.enums import Channel, DeliveryStatus
from db.models import connections, deliveries, nodes
from db.presence import STALE_AFTER
from db.session import Database, SystemTransaction
from db.types import UtcDateTime


@dataclass(frozen=True, slots=True)
class Backlog:
    """What the workers of all accounts have not done yet."""

    due: int  #: mails that are due and not sent
    overdue: int  #: of them, those that are later than `db.audit.PATIENCE`
    oldest_seconds: float  #: how long the longest waiting one has been due
    notes: int  #: notes that are due and not in their tickets


async def backlog(tx: SystemTransaction, *, now: datetime) -> Backlog:
    """Count what is due, over all accounts."""
    is_overdue = deliveries.c.first_due_at < now - PATIENCE
    statement = (
        select(func.count(), func.count(case((is_overdue, 1))), func.min(deliveries.c.first_due_at))
        .where(deliveries.c.channel == Channel.EMAIL, deliveries.c.first_due_at <= now)
        .where(deliveries.c.status.in_((DeliveryStatus.PENDING, DeliveryStatus.SENDING)))
    )
    due, overdue, oldest = (await tx.connection.execute(statement)).one()
    notes = (
        select(func.count())
        .where(deliveries.c.channel == Channel.PSA_NOTE, deliveries.c.first_due_at <= now)
        .where(deliveries.c.status.in_((DeliveryStatus.PENDING, DeliveryStatus.SENDING)))
    )
    waits = 0.0 if oldest is None else (now - oldest).total_seconds()
    return Backlog(due, overdue, waits, await tx.fetch_value(notes))


@dataclass(frozen=True, slots=True)
class Attendance:
    """Who could see an escalation at this moment, over all nodes."""

    nodes: int  #: that are believed to live
    dashboards: int  #: of responders, connected to one of them
    responders: int  #: who have at least one


async def attendance(tx: SystemTransaction, *, now: datetime) -> Attendance:
    """Count the nodes that live, and the dashboards that they serve."""
    served = nodes.outerjoin(connections, connections.c.node_id == nodes.c.id)
    statement = (
        select(
            func.count(nodes.c.id.distinct()),
            func.count(connections.c.id),
            func.count(connections.c.user_id.distinct()),
        )
        .select_from(served)
        .where(nodes.c.heartbeat_at > now - STALE_AFTER)
    )
    return Attendance(*(await tx.connection.execute(statement)).one())


_CLOCK = select(type_coerce(func.clock_timestamp(), UtcDateTime))


async def clock(database: Database) -> datetime:
    """Return what time it is for the server of PostgreSQL."""
    ((now,),) = await database.system_glance(_CLOCK, {})
    found: datetime = now
    return found
