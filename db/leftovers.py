"""What nobody needs any more, of all accounts: forgotten by a worker, some rows at a time.

Only what can be forgotten without anybody's noticing stands here. What tells what happened stays: events,
deliveries and their attempts, refusals.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Column, Delete, Table, delete, select, tuple_

from db.idempotency import REMEMBERED_FOR
from db.models import briefings, idempotency_keys, login_links
from db.session import SystemTransaction


@dataclass(frozen=True, slots=True)
class Leftover:
    """A table, and when its rows have become of no use."""

    table: Table
    since: Column[datetime]  #: with an index that begins with it
    after: timedelta  #: how long after that they are forgotten


LEFTOVERS: Sequence[Leftover] = (
    Leftover(idempotency_keys, idempotency_keys.c.created_at, REMEMBERED_FOR),
    # So long the page of a link can say that it has expired, not that nobody knows it.
    Leftover(login_links, login_links.c.expires_at, timedelta(days=1)),
    # One that is asked for again is written again.
    Leftover(briefings, briefings.c.generated_at, timedelta(days=90)),
)


async def forget(tx: SystemTransaction, leftover: Leftover, *, now: datetime, limit: int) -> int:
    """Forget up to `limit` rows of a table, the oldest first; return how many that were.

    Rows that somebody else holds at this moment are passed over, not waited for.
    """
    return await tx.execute(forgetting(leftover, now=now, limit=limit))


def forgetting(leftover: Leftover, *, now: datetime, limit: int) -> Delete:
    """Return the statement of `forget`."""
    table, is_old = leftover.table, leftover.since <= now - leftover.after
    key = tuple_(*table.primary_key.columns)
    oldest = (
        select(*table.primary_key.columns)
        .where(is_old)
        .order_by(leftover.since)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return delete(table).where(key.in_(oldest), is_old)
