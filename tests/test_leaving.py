"""Nobody's leaving leaves work stuck: what they had claimed is in the queue again."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Select, select, text

from db import users
from db.enums import HandoffState, Role
from db.handoffs import HandoffRow
from db.models import handoffs as stored
from db.session import Database, Transaction
from db.users import UserRow
from resolvers import handoffs, people
from resolvers.errors import Forbidden
from resolvers.people import UserChanges
from schema.context import utc_now
from tests.cast import Cast
from tests.client import Api
from tests.mailing import handoff_row, set_policy
from tests.sockets import eventually
from tests.workers import deadlocks

NO_GRACE = timedelta(0)
Leave = Callable[[Transaction, Cast, UserRow], Awaitable[UserRow]]
WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def deactivate(tx: Transaction, cast: Cast, user: UserRow) -> UserRow:
    """Have an admin deactivate somebody."""
    changes = UserChanges(active=False)
    return await people.change(tx, cast.adam, user.id, changes, now=utc_now(), grace=NO_GRACE)


async def demote(tx: Transaction, cast: Cast, user: UserRow) -> UserRow:
    """Have an admin make somebody a viewer."""
    changes = UserChanges(role=Role.VIEWER)
    return await people.change(tx, cast.adam, user.id, changes, now=utc_now(), grace=NO_GRACE)


async def delete(tx: Transaction, cast: Cast, user: UserRow) -> UserRow:
    """Have an admin delete somebody."""
    return await people.delete(tx, cast.adam, user.id, now=utc_now(), grace=NO_GRACE)


LEAVING = [
    pytest.param(deactivate, "Bob was deactivated", id="deactivated"),
    pytest.param(demote, "Bob is VIEWER now", id="demoted"),
    pytest.param(delete, "Bob was deleted", id="deleted"),
]


@pytest.mark.parametrize(("leave", "why"), LEAVING)
async def test_what_somebody_had_claimed_is_in_the_queue_again(api: Api, leave: Leave, why: str) -> None:
    cast = api.cast
    handoff_id = await claimed(api, cast.bob)

    await leaves(cast, leave, cast.bob)

    handoff = await api.handoff(handoff_id)
    assert (handoff["state"], handoff["claimedBy"], handoff["claimedAt"]) == ("OPEN", None, None)
    assert (handoff["session"]["status"], handoff["session"]["escalatedTo"]) == ("ESCALATED", None)
    assert (await api.timeline(handoff_id))[-1] == ("HANDOFF_RELEASED", "Adam", f"released it: {why}")
    # Adam is told as everybody else is: it is an escalation that waits.
    told = [row for row in await api.deliveries(handoff_id) if row[0] == 1]
    assert told == [(1, name, "EMAIL", "PENDING", None) for name in ("Adam", "Alice", "Olivia")]
    queue = (await api.ask(cast.vera, "{ queue { edges { node { id } } } }")).only()
    assert queue["edges"] == [{"node": {"id": handoff_id}}]
    assert (await api.claim(cast.alice, handoff_id))["__typename"] == "ClaimHandoffSuccess"


async def test_what_was_parked_waits_again_and_nobody_is_told(api: Api) -> None:
    cast = api.cast
    handoff_id = await claimed(api, cast.bob, "PARK")

    await leaves(cast, deactivate, cast.bob)

    handoff = await api.handoff(handoff_id)
    assert (handoff["state"], handoff["session"]["status"]) == ("OPEN", "PAUSED")
    assert await api.deliveries(handoff_id) == []


async def test_all_that_somebody_had_claimed_comes_back_and_nothing_else_changes(api: Api) -> None:
    cast = api.cast
    theirs = [await claimed(api, cast.bob, intent) for intent in ("ESCALATE", "PARK", "ESCALATE")]
    others = await claimed(api, cast.alice)
    waiting = await api.escalate(cast.alice, (await cast.start_session()).id)
    before = [await api.handoff(handoff_id) for handoff_id in (others, waiting)]
    last = await cast.last_event()

    await leaves(cast, deactivate, cast.bob)

    assert {(await api.handoff(handoff_id))["state"] for handoff_id in theirs} == {"OPEN"}
    assert [await api.handoff(handoff_id) for handoff_id in (others, waiting)] == before
    assert await cast.last_event() == last + 1 + len(theirs)


async def test_the_reminders_of_what_came_back_begin_anew(api: Api) -> None:
    await set_policy(api, reminderAfter=["PT5M"], claimExpiresAfter="PT30M")
    handoff_id = await claimed(api, api.cast.bob)

    await leaves(api.cast, deactivate, api.cast.bob)

    row = await handoff_row(api, handoff_id)
    assert (row.round, row.reminders, row.claim_expires_at) == (1, 0, None)
    assert row.next_reminder_at == row.opened_at + timedelta(minutes=5)


@pytest.mark.parametrize(
    "changes",
    [UserChanges(name="Robert"), UserChanges(role=Role.ADMIN), UserChanges(email="bo@northwind.example")],
    ids=["renamed", "promoted", "moved"],
)
async def test_who_stays_a_responder_keeps_what_they_have_claimed(api: Api, changes: UserChanges) -> None:
    cast = api.cast
    handoff_id = await claimed(api, cast.bob)

    async with cast.database.transaction(cast.account_id) as tx:
        await people.change(tx, cast.adam, cast.bob.id, changes, now=utc_now(), grace=NO_GRACE)

    assert (await api.handoff(handoff_id))["claimedBy"]["id"] == str(cast.bob.id)


async def test_who_comes_back_does_not_get_it_back(api: Api) -> None:
    cast = api.cast
    handoff_id = await claimed(api, cast.bob)
    await leaves(cast, deactivate, cast.bob)

    changes = UserChanges(active=True)
    async with cast.database.transaction(cast.account_id) as tx:
        await people.change(tx, cast.adam, cast.bob.id, changes, now=utc_now(), grace=NO_GRACE)

    assert (await api.handoff(handoff_id))["state"] == "OPEN"
    assert (await api.claim(cast.bob, handoff_id))["__typename"] == "ClaimHandoffSuccess"


@pytest.mark.parametrize(("leave", "why"), LEAVING)
async def test_of_claims_and_a_leave_at_once_none_stays_with_who_left(
    api: Api, database_url: str, leave: Leave, why: str
) -> None:
    cast, other = api.cast, Database(database_url)
    back = UserChanges(active=True, role=Role.ENGINEER)
    for place in [0, 1, 2, 3] * 2:
        handoff_ids = [UUID(await api.escalate(cast.alice, (await cast.start_session()).id)) for _ in "123"]
        acts: list[Awaitable[object]] = [
            claims(cast.database, cast, handoff_id) for handoff_id in handoff_ids
        ]
        acts.insert(place, leaves(cast, leave, cast.bob, database=other))

        await asyncio.gather(*acts)

        rows = [await handoff_row(api, str(handoff_id)) for handoff_id in handoff_ids]
        assert {(row.state, row.claimed_by_id) for row in rows} == {(HandoffState.OPEN, None)}
        async with cast.database.transaction(cast.account_id) as tx:
            await people.change(tx, cast.olivia, cast.bob.id, back, now=utc_now(), grace=NO_GRACE)
    await other.dispose()


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
@pytest.mark.parametrize("is_all", [True, False], ids=["in one message", "step by step"])
async def test_a_claim_that_waits_for_a_leave_is_refused(api: Api, is_all: bool) -> None:
    cast = api.cast
    handoff_id = UUID(await api.escalate(cast.alice, (await cast.start_session()).id))

    async with cast.database.transaction(cast.account_id) as tx:
        await deactivate(tx, cast, cast.bob)
        claiming = asyncio.create_task(claims(cast.database, cast, handoff_id, is_all=is_all))
        await until_waiting(cast)

    assert await claiming is None
    row = await handoff_row(api, str(handoff_id))
    assert (row.state, row.claimed_by_id) == (HandoffState.OPEN, None)


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_a_leave_that_waits_for_a_claim_takes_it_back(api: Api) -> None:
    cast = api.cast
    handoff_id = UUID(await api.escalate(cast.alice, (await cast.start_session()).id))

    async with cast.database.transaction(cast.account_id) as tx:
        await handoffs.claim(tx, cast.bob, handoff_id, now=utc_now())
        leaving = asyncio.create_task(leaves(cast, deactivate, cast.bob))
        await until_waiting(cast)
    await leaving

    row = await handoff_row(api, str(handoff_id))
    assert (row.state, row.claimed_by_id, row.round) == (HandoffState.OPEN, None, 1)


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_a_claim_that_waits_for_a_leave_holds_nothing_that_the_leave_needs(api: Api) -> None:
    cast = api.cast
    handoff_id = UUID(await claimed(api, cast.bob))

    async with cast.database.transaction(cast.account_id) as tx:
        await users.lock(tx, cast.bob.id)
        claiming_again = asyncio.create_task(claims(cast.database, cast, handoff_id))
        await until_waiting(cast)
        await deactivate(tx, cast, cast.bob)

    assert await claiming_again is None
    assert (await handoff_row(api, str(handoff_id))).state == HandoffState.OPEN


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
@pytest.mark.parametrize("by", ["leave", "policy"])
async def test_whoever_changes_several_claims_takes_them_in_the_order_of_their_ids(api: Api, by: str) -> None:
    cast = api.cast
    first, second = [UUID(await api.escalate(cast.alice, (await cast.start_session()).id)) for _ in "12"]
    for handoff_id in (second, first):  # so that the table has them the other way round
        await claims(cast.database, cast, handoff_id)
    async with cast.database.owning() as owner:
        await owner.execute(text("ANALYZE handoffs"))  # and is read as a whole, it is so small

    async with cast.database.transaction(cast.account_id) as tx:
        await tx.execute(lock_of(first))
        change = (
            leaves(cast, deactivate, cast.bob) if by == "leave" else set_policy(api, claimExpiresAfter="PT1H")
        )
        changing = asyncio.create_task(change)
        await until_waiting(cast)
        await tx.execute(lock_of(second))
    await changing

    assert await deadlocks(cast.database) == 0


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_leaves_claims_releases_and_policies_never_wait_for_each_other_in_a_circle(api: Api) -> None:
    cast = api.cast
    await set_policy(api, reminderAfter=["PT5M"], claimExpiresAfter="PT30M")
    back = UserChanges(active=True)
    for number in range(6):
        theirs = [await claimed(api, cast.bob) for _ in range(4)]
        waiting = [await api.escalate(cast.alice, (await cast.start_session()).id) for _ in range(3)]
        new = [(await cast.start_session()).id for _ in range(3)]

        await asyncio.gather(
            leaves(cast, deactivate, cast.bob),
            set_policy(api, claimExpiresAfter=f"PT{40 + number}M"),
            *(claims(cast.database, cast, UUID(handoff_id)) for handoff_id in waiting),
            *(api.release(cast.adam, handoff_id) for handoff_id in theirs[:2]),
            *(api.create(cast.alice, session_id) for session_id in new),
        )

        for handoff_id in [*theirs, *waiting]:
            assert (await api.handoff(handoff_id))["state"] == "OPEN"
        async with cast.database.transaction(cast.account_id) as tx:
            await people.change(tx, cast.adam, cast.bob.id, back, now=utc_now(), grace=NO_GRACE)
    assert await deadlocks(cast.database) == 0


async def claimed(api: Api, claimer: UserRow, intent: str = "ESCALATE") -> str:
    """Have Alice hand a session off and the claimer claim it; return the handoff's id."""
    session = await api.cast.start_session()
    handoff_id: str = (await api.create(api.cast.alice, session.id, intent))["handoff"]["id"]
    assert (await api.claim(claimer, handoff_id))["__typename"] == "ClaimHandoffSuccess"
    return handoff_id


async def claims(
    database: Database, cast: Cast, handoff_id: UUID, *, is_all: bool = True
) -> HandoffRow | None:
    """Claim as Bob, whom the request found to be an engineer; None where that is refused."""
    try:
        async with database.transaction(cast.account_id) as tx:
            claimed = await handoffs.claim(tx, cast.bob, handoff_id, now=utc_now(), is_all=is_all)
            return claimed.handoff
    except Forbidden:
        return None


async def leaves(cast: Cast, leave: Leave, user: UserRow, *, database: Database | None = None) -> None:
    """Let somebody leave, in a transaction of its own."""
    async with (database or cast.database).transaction(cast.account_id) as tx:
        await leave(tx, cast, user)


def lock_of(handoff_id: UUID) -> Select[tuple[UUID]]:
    """Return the statement that locks a handoff."""
    return select(stored.c.id).where(stored.c.id == handoff_id).with_for_update()


async def until_waiting(cast: Cast) -> None:
    """Wait until somebody waits for a lock."""

    async def is_waiting() -> bool:
        async with cast.database.owning() as tx:
            return bool(await tx.fetch_value(WAITING))

    await eventually(is_waiting)
