"""Which worker talks to which PSA, over all accounts; and the encrypted credentials of all, to renew them.

A PSA counts the requests of all who use an API user together, and two workers that look for the same note
at once would both not find it. So one worker at a time has a connection, and all its notes with it.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, or_, select, update

from db.enums import Channel, DeliveryStatus
from db.models import deliveries, psa_connections
from db.session import SystemTransaction


@dataclass(frozen=True, slots=True)
class LeasedConnection:
    """A connection that this worker holds until its lease ends."""

    account_id: UUID
    id: UUID


@dataclass(frozen=True, slots=True)
class SealedCredentials:
    """The encrypted credentials of a connection."""

    connection_id: UUID
    credentials: str


async def lease_due(
    tx: SystemTransaction, lease: UUID, *, now: datetime, until: datetime, limit: int
) -> list[LeasedConnection]:
    """Lease up to `limit` connections that have a note due and may be used.

    They have passed a test, and are neither paused nor asked to wait. Rows that another worker is leasing at
    this moment are passed over. A lease that has ended is taken.
    """
    connection = psa_connections.c
    has_due = (
        select(deliveries.c.id)
        .where(deliveries.c.account_id == connection.account_id)
        .where(deliveries.c.psa_connection_id == connection.id)
        .where(deliveries.c.channel == Channel.PSA_NOTE, deliveries.c.due_at <= now)
        .where(deliveries.c.status.in_((DeliveryStatus.PENDING, DeliveryStatus.SENDING)))
        .where(or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until < now))
    )
    due = (
        select(connection.account_id, connection.id)
        .where(connection.paused.is_(False), connection.passed_at.is_not(None), has_due.exists())
        .where(or_(connection.lease_until.is_(None), connection.lease_until < now))
        .where(or_(connection.not_before.is_(None), connection.not_before <= now))
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    statement = (
        update(psa_connections)
        .where(and_(connection.account_id == due.c.account_id, connection.id == due.c.id))
        .values(leased_by=lease, lease_until=until)
        .returning(connection.account_id, connection.id)
    )
    return await tx.fetch_all(statement, LeasedConnection)


async def give_back(tx: SystemTransaction, lease: UUID) -> None:
    """End a lease early."""
    held = update(psa_connections).where(psa_connections.c.leased_by == lease)
    await tx.execute(held.values(leased_by=None, lease_until=None))


async def all_credentials(tx: SystemTransaction) -> list[SealedCredentials]:
    """Return the encrypted credentials of every connection of every account."""
    columns = psa_connections.c
    statement = select(columns.id, columns.credentials).order_by(columns.account_id, columns.id)
    return await tx.fetch_all(statement, SealedCredentials)


async def renew_credentials(tx: SystemTransaction, old: SealedCredentials, renewed: str) -> bool:
    """Store credentials that were encrypted anew; False where an admin replaced them meanwhile."""
    is_same = and_(
        psa_connections.c.id == old.connection_id, psa_connections.c.credentials == old.credentials
    )
    return await tx.execute(update(psa_connections).where(is_same).values(credentials=renewed)) == 1
