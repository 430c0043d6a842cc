"""Handing off and claiming are one message to PostgreSQL where they are all of their transaction."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db import assessments, deliveries, events, sessions, users
from db import handoffs as stored
from db.enums import HandoffIntent, HandoffState
from db.pages import Page
from db.session import Database, Transaction
from db.situations import Situation
from resolvers import branches, handing_off, handoffs
from resolvers import sessions as working
from resolvers.branches import NewBranch
from resolvers.errors import BadInput, HandoffAlreadyClaimed, HandoffNotFound, SessionAlreadyHandedOff
from resolvers.handing_off import Created
from resolvers.new_handoffs import NewHandoff
from schema.context import utc_now
from tests.cast import Cast
from tests.escalating import claim, escalate
from tests.holding import until_waiting
from tests.servers.postgres_wire import watching

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
    cast.database.on_commit.append(heard.extend)

    await claim(cast, handoff_id, is_all=True)

    async with cast.database.reading(cast.account_id) as tx:
        assert heard == (await events.of_handoffs(tx, [handoff_id]))[handoff_id][-1:]


async def test_where_the_role_may_make_no_functions_it_takes_more_messages_and_asks_once(
    cast: Cast, database_url: str
) -> None:
    handoff_ids = [await escalate(cast) for _ in range(3)]
    async with cast.database.owning() as tx:
        await tx.execute(text(WITHOUT_FUNCTIONS))

    async with watching(database_url) as (url, traffic):
        database = Database(url)
        for handoff_id in handoff_ids:
            traffic.clear()
            await claim(cast, handoff_id, database=database, is_all=True)
            assert await state_of(cast, handoff_id) == HandoffState.CLAIMED
        await database.dispose()

    assert traffic.round_trips == 3
    assert not any("CREATE FUNCTION" in statement for statement in traffic.statements)


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


async def test_a_claim_that_finds_it_claimed_and_released_meanwhile_takes_it(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    handoff_id = await escalate(cast)
    is_released = asyncio.Event()

    async with cast.database.transaction(cast.account_id) as tx:
        await handoffs.claim(tx, cast.bob, handoff_id, now=datetime.now(UTC))
        # In the order in which they wait for the session: one who finds it claimed, one who releases it.
        claiming = asyncio.create_task(claim(cast, handoff_id, by=cast.olivia, is_all=True))
        await until_waiting(cast, 1)
        releasing = asyncio.create_task(release(cast, handoff_id))
        await until_waiting(cast, 2)
        # The first looks why it got nothing. It would often be back before the second has the row.
        monkeypatch.setattr(users, "hold", holding_after(is_released))
    await releasing
    is_released.set()

    assert (await claiming).handoff.claimed_by_id == cast.olivia.id
    with pytest.raises(HandoffAlreadyClaimed):
        await claim(cast, handoff_id, is_all=True)


@pytest.mark.parametrize("intent", list(HandoffIntent))
async def test_a_handoff_that_was_foreseen_is_the_one_that_is_made_step_by_step(
    cast: Cast, intent: HandoffIntent
) -> None:
    foreseen = await foresee(cast, intent)

    at_once = await create(cast, foreseen)
    in_steps = await create(cast, replace(await foresee(cast, intent), situation=None))

    assert at_once.reach == in_steps.reach
    assert await story_of(cast, at_once) == await story_of(cast, in_steps)


@pytest.mark.parametrize("summary", ["Printer on fire", None])
async def test_what_has_changed_since_it_was_foreseen_is_in_the_snapshot(
    cast: Cast, summary: str | None
) -> None:
    foreseen = await foresee(cast, has_branch=True)
    session_id = foreseen.new.session_id
    async with cast.database.transaction(cast.account_id) as tx:
        if summary is None:
            (branch,) = (await sessions.branches_of(tx, [session_id]))[session_id]
            await branches.update(tx, cast.alice, branch.id, {"label": "The fuse"}, now=utc_now())
        else:
            await working.update(tx, cast.alice, session_id, {"problem_summary": summary}, now=utc_now())

    snapshot = (await create(cast, foreseen)).handoff.snapshot

    assert snapshot["problem_summary"] == (summary or "The VPN drops")
    assert [each["label"] for each in snapshot["branch_map"]] == [
        "The fuse" if summary is None else "Firmware"
    ]


async def test_of_twenty_who_foresaw_the_same_one_hands_it_off(cast: Cast) -> None:
    foreseen = await foresee(cast)

    ends = await asyncio.gather(*(create(cast, foreseen) for _ in range(20)), return_exceptions=True)

    assert Counter(type(end) for end in ends) == {Created: 1, SessionAlreadyHandedOff: 19}


async def test_a_key_that_was_used_since_it_was_foreseen_answers_the_first_or_refuses(cast: Cast) -> None:
    foreseen, other = await foresee(cast, key="once"), await foresee(cast, key="once")

    first, again = await create(cast, foreseen), await create(cast, foreseen)
    with pytest.raises(BadInput, match="idempotencyKey is being used with another input"):
        await create(cast, other)

    assert again.handoff == first.handoff


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What Alice asks for, and what was read before."""

    new: NewHandoff
    situation: Situation | None


async def foresee(
    cast: Cast,
    intent: HandoffIntent = HandoffIntent.ESCALATE,
    *,
    key: str | None = None,
    has_branch: bool = False,
) -> Foreseen:
    """Start a session, and read what decides what a handoff of it is."""
    session = await cast.start_session("The VPN drops")
    if has_branch:
        async with cast.database.transaction(cast.account_id) as tx:
            await branches.add(tx, cast.alice, session.id, NewBranch(label="Firmware"), now=utc_now())
    new = NewHandoff(session_id=session.id, intent=intent, notes="MTU?", idempotency_key=key)
    return Foreseen(new, await handing_off.foresee(cast.database, cast.alice, new, now=utc_now()))


async def create(cast: Cast, foreseen: Foreseen) -> Created:
    async with cast.database.transaction(cast.account_id) as tx:
        return await handing_off.create(
            tx,
            cast.alice,
            foreseen.new,
            now=utc_now(),
            grace=timedelta(0),
            assessment_wait=timedelta(seconds=8),
            foreseen=foreseen.situation,
        )


async def story_of(cast: Cast, made: Created) -> list[object]:
    """Return all that was stored of a handoff, but ids and instants."""
    handoff = made.handoff
    async with cast.database.reading(cast.account_id) as tx:
        assert (await stored.by_ids(tx, [handoff.id]))[handoff.id] == handoff
        session = (await sessions.by_ids(tx, [handoff.session_id]))[handoff.session_id]
        told = (await deliveries.of_handoffs(tx, [handoff.id], Page(first=100)))[handoff.id]
        happened = (await events.of_handoffs(tx, [handoff.id]))[handoff.id]
        assessed = (await assessments.by_handoffs(tx, [handoff.id])).get(handoff.id)
    assert made.session == session
    return [
        (handoff.snapshot, handoff.intent, handoff.state, handoff.notes, handoff.reach_check_at is None),
        (session.status, session.handoff_count, session.escalated_to_id),
        sorted((row.recipient_id, row.channel, row.kind, row.status, row.round) for row in told),
        [(event.kind, event.actor_id, event.summary, event.intent, event.except_id) for event in happened],
        assessed and assessed.status,
    ]


def holding_after(event: asyncio.Event) -> Callable[[Transaction, UUID], Awaitable[None]]:
    """Return `users.hold`, which waits for an event first."""
    hold = users.hold

    async def wait(tx: Transaction, user_id: UUID) -> None:
        await event.wait()
        await hold(tx, user_id)

    return wait


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
