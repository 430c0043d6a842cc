"""Escalates and claims by the resolvers, without a server."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from db.enums import HandoffIntent
from db.session import Database, Transaction
from db.users import UserRow
from resolvers import handing_off, handoffs
from resolvers.handoffs import Claimed
from resolvers.new_handoffs import NewHandoff
from tests.cast import Cast


async def escalate(cast: Cast) -> UUID:
    """Escalate a new session."""
    return await create(cast, (await cast.start_session()).id)


async def create(cast: Cast, session_id: UUID) -> UUID:
    """Escalate a session of Alice's."""
    async with cast.database.transaction(cast.account_id) as tx:
        return await escalated(tx, cast, session_id)


async def escalated(tx: Transaction, cast: Cast, session_id: UUID) -> UUID:
    """Escalate it in a transaction that is open."""
    new = NewHandoff(session_id=session_id, intent=HandoffIntent.ESCALATE)
    made = await handing_off.create(tx, cast.alice, new, now=datetime.now(UTC), grace=timedelta(0))
    return made.handoff.id


async def claim(
    cast: Cast,
    handoff_id: UUID,
    *,
    by: UserRow | None = None,
    database: Database | None = None,
    is_all: bool = False,
) -> Claimed:
    """Claim a handoff, as Bob or somebody else; `is_all`: in a transaction that does nothing else."""
    async with (database or cast.database).transaction(cast.account_id) as tx:
        return await handoffs.claim(tx, by or cast.bob, handoff_id, now=datetime.now(UTC), is_all=is_all)
