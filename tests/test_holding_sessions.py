"""Whoever changes a session's handoff holds the session from before its first statement to its commit."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db import deliveries, events, sessions
from db import handoffs as stored
from db.deliveries import NewDelivery
from db.enums import Channel, DeliveryKind, EventKind, HandoffIntent, HandoffState
from db.session import Database, Transaction
from resolvers import handing_off
from resolvers.new_handoffs import NewHandoff
from tests.cast import Cast
from tests.escalating import claim
from tests.holding import until_waiting

pytestmark = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)

FREE = text("SELECT id FROM sessions FOR UPDATE SKIP LOCKED")
IMPATIENT = text(
    "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET lock_timeout = 50', current_database()); END $$"
)


@pytest.mark.parametrize("has_begun", [False, True], ids=["with the BEGIN", "after other statements"])
async def test_a_session_is_held_whether_the_transaction_has_begun_or_not(
    cast: Cast, has_begun: bool
) -> None:
    held, other = await cast.start_session(), await cast.start_session()

    async with cast.database.transaction(cast.account_id) as tx:
        if has_begun:
            await sessions.by_ids(tx, [held.id])
        await sessions.hold(tx, held.id)
        found = await sessions.by_ids(tx, [held.id, other.id])
        async with cast.database.transaction(cast.account_id) as somebody:
            free = await somebody.fetch_value(FREE)

    assert found.keys() == {held.id, other.id}
    assert free == other.id


async def test_two_sessions_that_are_held_before_the_first_statement_are_both_held(cast: Cast) -> None:
    first, second = await cast.start_session(), await cast.start_session()

    async with cast.database.transaction(cast.account_id) as tx:
        await sessions.hold(tx, first.id)
        await sessions.hold(tx, second.id)
        await sessions.by_ids(tx, [first.id])
        async with cast.database.transaction(cast.account_id) as somebody:
            free = await somebody.fetch_value(FREE)

    assert free is None


async def test_whoever_is_cancelled_while_waiting_for_a_session_leaves_nothing_behind(cast: Cast) -> None:
    session = await cast.start_session()
    before = await cast.all_rows()

    async with cast.database.transaction(cast.account_id) as tx:
        await sessions.lock(tx, session.id)
        waiting = [asyncio.create_task(_create(cast, session.id)) for _ in range(5)]
        await until_waiting(cast, 5)
        for task in waiting:
            task.cancel()
        ends = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(end) for end in ends] == [asyncio.CancelledError] * 5
    assert await cast.all_rows() == before
    # Every connection of the pool can begin another transaction.
    await asyncio.gather(*(_look(cast) for _ in range(20)))
    handoff_id = await _create(cast, session.id)
    async with cast.database.reading(cast.account_id) as tx:
        assert (await stored.by_ids(tx, [handoff_id]))[handoff_id].state == HandoffState.OPEN


async def test_claims_that_are_cancelled_while_they_wait_leave_all_or_nothing_behind(cast: Cast) -> None:
    session = await cast.start_session()
    handoff_id = await _create(cast, session.id)

    async with cast.database.transaction(cast.account_id) as tx:
        await sessions.lock(tx, session.id)
        waiting = [asyncio.create_task(claim(cast, handoff_id, is_all=True)) for _ in range(5)]
        await until_waiting(cast, 5)
        for task in waiting:
            task.cancel()
        ends = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(end) for end in ends] == [asyncio.CancelledError] * 5
    await asyncio.gather(*(_look(cast) for _ in range(20)))
    # As of a COMMIT, nobody knows of a claim that is under way whether it will be stored.
    assert (await claim(cast, handoff_id, is_all=True)).handoff.state == HandoffState.CLAIMED
    async with cast.database.reading(cast.account_id) as tx:
        kinds = [event.kind for event in (await events.of_handoffs(tx, [handoff_id]))[handoff_id]]
    assert kinds == [EventKind.HANDOFF_CREATED, EventKind.HANDOFF_CLAIMED]


async def test_a_server_that_gives_up_waiting_for_a_session_leaves_a_pool_that_works(
    cast: Cast, database_url: str
) -> None:
    session = await cast.start_session()
    async with cast.database.owning() as tx:
        await tx.execute(IMPATIENT)
    impatient = replace(cast, database=Database(database_url))
    await _look(impatient)  # SQLAlchemy asks the server what it is, with a BEGIN of its own

    async with cast.database.transaction(cast.account_id) as tx:
        await sessions.lock(tx, session.id)
        with pytest.raises(DBAPIError, match="lock timeout"):
            await _create(impatient, session.id)

    await asyncio.gather(*(_look(impatient) for _ in range(20)))
    await _create(impatient, session.id)
    await impatient.database.dispose()


@pytest.mark.parametrize("is_all", [False, True], ids=["among other things", "alone"])
async def test_a_claim_that_waited_skips_what_was_written_meanwhile(cast: Cast, is_all: bool) -> None:
    session = await cast.start_session()
    handoff_id = await _create(cast, session.id)

    async with cast.database.transaction(cast.account_id) as tx:
        await sessions.lock(tx, session.id)
        claiming = asyncio.create_task(claim(cast, handoff_id, is_all=is_all))
        await until_waiting(cast, 1)
        await _add_round(tx, cast, handoff_id)
    await claiming

    async with cast.database.reading(cast.account_id) as tx:
        rows = await tx.connection.execute(
            text("SELECT kind, round, status, count(*) FROM deliveries GROUP BY 1, 2, 3 ORDER BY 1, 2")
        )
    assert [tuple(row) for row in rows] == [
        ("CLAIMED", 0, "PENDING", 1),
        ("ESCALATION", 0, "SKIPPED", 3),
        ("REMINDER", 1, "SKIPPED", 3),
    ]


async def _create(cast: Cast, session_id: UUID) -> UUID:
    new = NewHandoff(session_id=session_id, intent=HandoffIntent.ESCALATE)
    async with cast.database.transaction(cast.account_id) as tx:
        made = await handing_off.create(tx, cast.alice, new, now=datetime.now(UTC), grace=timedelta(0))
    return made.handoff.id


async def _look(cast: Cast) -> None:
    async with cast.database.transaction(cast.account_id) as tx:
        await sessions.by_ids(tx, [])


async def _add_round(tx: Transaction, cast: Cast, handoff_id: UUID) -> None:
    """Store what a reminder would."""
    now = datetime.now(UTC)
    told = (cast.bob, cast.olivia, cast.adam)
    wanted = [NewDelivery(recipient_id=user.id, channel=Channel.EMAIL, due_at=now) for user in told]
    await deliveries.add(tx, handoff_id, DeliveryKind.REMINDER, 1, wanted, at=now)
