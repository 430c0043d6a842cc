"""The few statements that cross accounts: identity, the feed's counters, nodes, and the outbox's leases.

Everything else in db/ takes the transaction of one account.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, insert, or_, select, update

from db.enums import Channel, DeliveryStatus
from db.models import account_counters, accounts, deliveries, nodes, users
from db.presence import STALE_AFTER
from db.session import SystemTransaction, columns_of
from db.users import UserRow


@dataclass(frozen=True, slots=True)
class Leased:
    """A delivery that this worker holds until its lease ends."""

    account_id: UUID
    id: UUID


async def find_user(tx: SystemTransaction, user_id: UUID) -> UserRow | None:
    """Return a user of any account: the token names the user, the row names the account."""
    statement = select(*columns_of(UserRow, users)).where(users.c.id == user_id)
    return await tx.fetch_one(statement, UserRow)


async def find_user_by_email(tx: SystemTransaction, email: str) -> UserRow | None:
    """Return the user with this address, whatever the account."""
    statement = select(*columns_of(UserRow, users)).where(users.c.email == email.strip().lower())
    return await tx.fetch_one(statement, UserRow)


async def find_account(tx: SystemTransaction, name: str) -> UUID | None:
    """Return the id of the account with this name."""
    account_id: UUID | None = await tx.fetch_value(select(accounts.c.id).where(accounts.c.name == name))
    return account_id


async def latest_sequences(tx: SystemTransaction, account_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return the number of the last event of each of the accounts."""
    counter = account_counters.c
    statement = select(counter.account_id, counter.event_sequence).where(counter.account_id.in_(account_ids))
    return {row.account_id: row.event_sequence for row in await tx.connection.execute(statement)}


async def beat(tx: SystemTransaction, node_id: UUID, *, now: datetime) -> bool:
    """Record that the node lives; False where it is not known (any more)."""
    alive = update(nodes).where(nodes.c.id == node_id).values(heartbeat_at=now)
    return await tx.execute(alive) == 1


async def add_node(tx: SystemTransaction, node_id: UUID, name: str, *, now: datetime) -> None:
    """Store a node that begins to live."""
    values = {"id": node_id, "name": name, "started_at": now, "heartbeat_at": now}
    await tx.execute(insert(nodes).values(values))


async def forget_node(tx: SystemTransaction, node_id: UUID) -> None:
    """Forget a node that stops, and its connections with it."""
    await tx.execute(delete(nodes).where(nodes.c.id == node_id))


async def sweep_nodes(tx: SystemTransaction, *, now: datetime) -> int:
    """Forget nodes that have not beaten for ten times as long as makes them dead; return how many."""
    return await tx.execute(delete(nodes).where(nodes.c.heartbeat_at < now - 10 * STALE_AFTER))


async def lease_due(
    tx: SystemTransaction, lease: UUID, *, now: datetime, until: datetime, limit: int
) -> list[Leased]:
    """Lease up to `limit` mails that are due, those longest due first.

    Rows that another worker is leasing at this moment are passed over, not waited for. Rows whose lease
    has ended are taken: their worker is dead, or so slow that its settling will find nothing.
    """
    due = (
        select(deliveries.c.account_id, deliveries.c.id)
        .where(deliveries.c.channel == Channel.EMAIL, deliveries.c.due_at <= now)
        .where(deliveries.c.status.in_((DeliveryStatus.PENDING, DeliveryStatus.SENDING)))
        .where(or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until < now))
        .order_by(deliveries.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    statement = (
        update(deliveries)
        .where(deliveries.c.account_id == due.c.account_id, deliveries.c.id == due.c.id)
        .values(leased_by=lease, lease_until=until)
        .returning(deliveries.c.account_id, deliveries.c.id)
    )
    return await tx.fetch_all(statement, Leased)


async def give_back(tx: SystemTransaction, lease: UUID) -> int:
    """End a lease early, for what was not begun under it; return how many deliveries that were."""
    statement = (
        update(deliveries)
        .where(deliveries.c.leased_by == lease, deliveries.c.status == DeliveryStatus.PENDING)
        .values(leased_by=None, lease_until=None)
    )
    return await tx.execute(statement)


async def next_due(tx: SystemTransaction) -> datetime | None:
    """Return when the next mail that nobody holds is due, None where there is none."""
    statement = select(func.min(deliveries.c.due_at)).where(
        deliveries.c.channel == Channel.EMAIL,
        deliveries.c.status == DeliveryStatus.PENDING,
        deliveries.c.lease_until.is_(None),
    )
    due: datetime | None = await tx.fetch_value(statement)
    return due
