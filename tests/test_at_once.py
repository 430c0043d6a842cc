"""A claim that is all of its transaction is one message to PostgreSQL, and guarantees what three do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db import events, sessions
from db import handoffs as stored
from db.enums import HandoffState
from db.session import Database
from resolvers import handoffs
from resolvers.errors import HandoffAlreadyClaimed, HandoffNotFound
from tests.cast import Cast
from tests.escalating import claim, escalate
from tests.holding import until_waiting

pytestmark = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)

WITHOUT_FUNCTIONS = """
DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$
"""
WRITE_OF_ITS_OWN = text("UPDATE sessions SET step_count = 7 WHERE status = 'ACTIVE'")


async def test_it_is_committed_when_it_is_answered_and_nothing_may_follow(cast: Cast) -> None:
    handoff_id = await escalate(cast)

    async with cast.database.transaction(cast.account_id) as tx:
        claimed = await handoffs.claim(tx, cast.bob, handoff_id, now=datetime.now(UTC), is_all=True)
        seen_by_others = await state_of(cast, handoff_id)
        with pytest.raises(DBAPIError, match="all in one message"):
            await sessions.by_ids(tx, [claimed.handoff.session_id])
        with pytest.raises(DBAPIError, match="all in one message"):
            await tx.connection.execute(WRITE_OF_ITS_OWN)

    assert seen_by_others == HandoffState.CLAIMED
    assert claimed.session is not None
    assert claimed.session.escalated_to_id == cast.bob.id
    async with cast.database.reading(cast.account_id) as tx:
        assert (await sessions.by_ids(tx, [claimed.session.id]))[claimed.session.id] == claimed.session


async def test_others_hear_of_its_event_as_it_is_stored(cast: Cast) -> None:
    handoff_id = await escalate(cast)
    heard: list[events.EventRow] = []
    cast.database.on_events.append(heard.extend)

    await claim(cast, handoff_id, is_all=True)

    async with cast.database.reading(cast.account_id) as tx:
        assert heard == (await events.of_handoffs(tx, [handoff_id]))[handoff_id][-1:]


async def test_where_the_role_may_make_no_functions_it_takes_more_messages(
    cast: Cast, database_url: str
) -> None:
    first, second = await escalate(cast), await escalate(cast)
    async with cast.database.owning() as tx:
        await tx.execute(text(WITHOUT_FUNCTIONS))
    database = Database(database_url)

    for handoff_id in (first, second):
        await claim(cast, handoff_id, database=database, is_all=True)
        assert await state_of(cast, handoff_id) == HandoffState.CLAIMED

    await database.dispose()


async def test_it_sees_the_rows_of_its_account_alone_and_leaves_no_account_behind(cast: Cast) -> None:
    handoff_id = await escalate(cast)
    async with cast.database.transaction(cast.other_account_id) as tx:
        with pytest.raises(HandoffNotFound):
            await handoffs.claim(tx, cast.charlie, handoff_id, now=datetime.now(UTC), is_all=True)

    await claim(cast, handoff_id, is_all=True)

    async with cast.database._writer.engine.connect() as connection:
        named = (
            await connection.execute(text("SELECT current_setting('app.account_id', true)"))
        ).scalar_one()
    assert named == ""


async def test_one_that_is_refused_by_the_database_changes_nothing_and_leaves_a_connection_that_works(
    cast: Cast,
) -> None:
    handoff_id = await escalate(cast)
    before = await cast.all_rows()

    with pytest.raises(DBAPIError, match="events_refused"):
        async with refusing_events(cast):
            await claim(cast, handoff_id, is_all=True)

    assert await cast.all_rows() == before
    await asyncio.gather(*(claim(cast, handoff_id, is_all=True) for _ in range(20)))
    assert await state_of(cast, handoff_id) == HandoffState.CLAIMED


async def test_a_handoff_that_comes_back_before_the_claim_is_explained_is_claimed(cast: Cast) -> None:
    handoff_id = await escalate(cast)

    async with cast.database.transaction(cast.account_id) as tx:
        await handoffs.claim(tx, cast.bob, handoff_id, now=datetime.now(UTC))
        # In the order in which they wait for the session: one who finds it claimed, one who releases it.
        claiming = asyncio.create_task(claim(cast, handoff_id, by=cast.olivia, is_all=True))
        await until_waiting(cast, 1)
        releasing = asyncio.create_task(release(cast, handoff_id))
        await until_waiting(cast, 2)
    await releasing

    assert (await claiming).handoff.claimed_by_id == cast.olivia.id
    with pytest.raises(HandoffAlreadyClaimed):
        await claim(cast, handoff_id, is_all=True)


async def state_of(cast: Cast, handoff_id: UUID) -> HandoffState:
    async with cast.database.reading(cast.account_id) as tx:
        return (await stored.by_ids(tx, [handoff_id]))[handoff_id].state


async def release(cast: Cast, handoff_id: UUID) -> None:
    """Release a handoff as Bob."""
    now = datetime.now(UTC)
    async with cast.database.transaction(cast.account_id) as tx:
        await handoffs.release(tx, cast.bob, handoff_id, None, now=now, grace=timedelta(0))


@asynccontextmanager
async def refusing_events(cast: Cast) -> AsyncIterator[None]:
    """Let the database refuse the last row that a claim writes."""
    async with cast.database.owning() as tx:
        await tx.execute(
            text("ALTER TABLE events ADD CONSTRAINT events_refused CHECK (kind <> 'HANDOFF_CLAIMED')")
        )
    try:
        yield
    finally:
        async with cast.database.owning() as tx:
            await tx.execute(text("ALTER TABLE events DROP CONSTRAINT events_refused"))
