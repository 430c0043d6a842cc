"""A claim that nobody works on goes back into the queue, where the account's policy says so."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from db.session import Database
from resolvers import reminders
from schema.context import utc_now
from server.due_work import DueWork
from tests.client import Api
from tests.clock import Clock
from tests.feeds import rename_table
from tests.full_disk import find_no_room
from tests.mailing import change_handoffs, do_what_is_due, handoff_row, set_policy

HALF_AN_HOUR = timedelta(minutes=30)
EXPIRED = ("HANDOFF_RELEASED", None, "released it: the claim expired without a sign of work")
CLAIMED = ("HANDOFF_CLAIMED", "Bob", "claimed it")


async def claimed_by_bob(api: Api, intent: str = "ESCALATE", **policy: Any) -> tuple[str, str]:  # noqa: ANN401
    """Return the ids of the handoff and of its session, under a policy that ends claims."""
    cast = api.cast
    await set_policy(api, **{"claimExpiresAfter": "PT30M"} | policy)
    session = await cast.start_session()
    handoff_id = (await api.create(cast.alice, session.id, intent))["handoff"]["id"]
    assert (await api.claim(cast.bob, handoff_id))["__typename"] == "ClaimHandoffSuccess"
    return handoff_id, str(session.id)


async def let_claims_expire(api: Api) -> None:
    just_now = utc_now() - timedelta(seconds=1)
    await change_handoffs(api.cast.database, api.cast.account_id, claim_expires_at=just_now)


async def work(api: Api, session_id: str, kind: str, **given: Any) -> None:  # noqa: ANN401
    """Send a mutation that changes the session, as Bob."""
    answer = await api.change(api.cast.bob, kind, sessionId=session_id, **given)
    assert answer.only()["__typename"] == "SessionSuccess"


async def test_an_expired_claim_goes_back_into_the_queue_and_everybody_is_told(api: Api) -> None:
    handoff_id, _ = await claimed_by_bob(api)
    await let_claims_expire(api)

    assert await do_what_is_due(api) == 1

    handoff = await api.handoff(handoff_id)
    assert (handoff["state"], handoff["claimedBy"], handoff["claimedAt"]) == ("OPEN", None, None)
    assert (handoff["session"]["status"], handoff["session"]["escalatedTo"]) == ("ESCALATED", None)
    assert (await api.timeline(handoff_id))[1:] == [CLAIMED, EXPIRED]
    # The mail that told Alice of the claim would be wrong now.
    assert await api.deliveries(handoff_id) == [
        (0, "Adam", "EMAIL", "SKIPPED", "CLAIMED"),
        (0, "Alice", "EMAIL", "SKIPPED", "RELEASED"),
        (0, "Bob", "EMAIL", "SKIPPED", "CLAIMED"),
        (0, "Olivia", "EMAIL", "SKIPPED", "CLAIMED"),
        *((1, name, "EMAIL", "PENDING", None) for name in ("Adam", "Alice", "Bob", "Olivia")),
    ]


async def test_an_expired_claim_of_what_was_parked_tells_nobody(api: Api) -> None:
    handoff_id, _ = await claimed_by_bob(api, "PARK")
    await let_claims_expire(api)

    assert await do_what_is_due(api) == 1

    handoff = await api.handoff(handoff_id)
    assert (handoff["state"], handoff["session"]["status"]) == ("OPEN", "PAUSED")
    assert (await api.timeline(handoff_id))[1:] == [CLAIMED, EXPIRED]
    assert await api.deliveries(handoff_id) == []


async def test_what_was_done_stays_and_somebody_else_may_go_on(api: Api) -> None:
    handoff_id, session_id = await claimed_by_bob(api)
    await work(api, session_id, "updateSession", stepCount=7)
    await let_claims_expire(api)
    await do_what_is_due(api)

    answer = await api.claim(api.cast.olivia, handoff_id)

    assert answer["__typename"] == "ClaimHandoffSuccess"
    document = "query ($id: ID!) { session(id: $id) { stepCount status escalatedTo { name } } }"
    assert (await api.ask(api.cast.vera, document, id=session_id)).only() == {
        "stepCount": 7,
        "status": "ACTIVE",
        "escalatedTo": {"name": "Olivia"},
    }
    row = await handoff_row(api, handoff_id)
    assert row.claimed_at is not None
    assert row.claim_expires_at == row.claimed_at + HALF_AN_HOUR


async def test_an_expired_claim_begins_the_reminders_anew(api: Api) -> None:
    handoff_id, _ = await claimed_by_bob(api, reminderAfter=["PT5M"])
    await let_claims_expire(api)

    await do_what_is_due(api)

    row = await handoff_row(api, handoff_id)
    assert (row.round, row.reminders) == (1, 0)
    assert row.next_reminder_at == row.opened_at + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("appendSessionMessages", {"messages": [{"role": "USER", "content": "DNS looks fine"}]}),
        ("updateSession", {"stepCount": 3}),
        ("addSessionBranch", {"label": "DNS"}),
    ],
)
async def test_work_by_the_one_who_claimed_it_lets_a_claim_last(
    api: Api, kind: str, given: dict[str, Any]
) -> None:
    handoff_id, session_id = await claimed_by_bob(api)
    await let_claims_expire(api)
    began_at = utc_now()

    await work(api, session_id, kind, **given)

    expires_at = (await handoff_row(api, handoff_id)).claim_expires_at
    assert expires_at is not None
    assert began_at + HALF_AN_HOUR <= expires_at <= utc_now() + HALF_AN_HOUR
    assert await do_what_is_due(api) == 0
    assert (await api.timeline(handoff_id))[1:] == [CLAIMED]


async def test_work_by_somebody_else_does_not_let_it_last(api: Api) -> None:
    handoff_id, session_id = await claimed_by_bob(api)
    await let_claims_expire(api)
    answer = await api.change(api.cast.alice, "updateSession", sessionId=session_id, stepCount=3)

    assert answer.only()["__typename"] == "SessionSuccess"
    assert await do_what_is_due(api) == 1
    assert (await handoff_row(api, handoff_id)).claim_expires_at is None


async def test_claims_last_unless_the_policy_says_otherwise(api: Api) -> None:
    handoff_id, session_id = await claimed_by_bob(api, claimExpiresAfter=None)

    await work(api, session_id, "updateSession", stepCount=3)

    assert (await handoff_row(api, handoff_id)).claim_expires_at is None
    assert await do_what_is_due(api) == 0


@pytest.mark.parametrize("ended_by", ["release", "resolve"])
async def test_a_claim_that_ended_meanwhile_does_not_expire(api: Api, ended_by: str) -> None:
    handoff_id, session_id = await claimed_by_bob(api)
    await let_claims_expire(api)
    if ended_by == "release":
        await api.release(api.cast.bob, handoff_id)
    else:
        await work(api, session_id, "resolveSession")
    before = await api.cast.all_rows()

    async with api.cast.database.transaction(api.cast.account_id) as tx:
        expired = await reminders.expire_claim(tx, UUID(handoff_id), now=utc_now(), grace=timedelta(0))

    assert not expired
    assert await do_what_is_due(api) == 0
    assert await api.cast.all_rows() == before


async def test_two_workers_at_once_end_a_claim_once(api: Api, database_url: str) -> None:
    handoff_id, _ = await claimed_by_bob(api)
    await let_claims_expire(api)
    other, grace = Database(database_url), api.node.settings.grace

    touched = await asyncio.gather(
        *(DueWork(database, grace).do() for database in (api.cast.database, other) * 3)
    )

    await other.dispose()
    assert sum(touched) == 1
    assert (await api.timeline(handoff_id))[1:] == [CLAIMED, EXPIRED]
    assert (await handoff_row(api, handoff_id)).round == 1


@pytest.mark.parametrize(
    ("before", "after"), [(None, "PT30M"), ("PT30M", None), ("PT1M", "PT30M")], ids=["on", "off", "longer"]
)
async def test_a_new_policy_counts_for_claims_that_are_held(
    api: Api, before: str | None, after: str | None
) -> None:
    handoff_id, _ = await claimed_by_bob(api, claimExpiresAfter=before)
    began_at = utc_now()

    await set_policy(api, claimExpiresAfter=after)

    expires_at = (await handoff_row(api, handoff_id)).claim_expires_at
    if after is None:
        assert expires_at is None
    else:
        assert expires_at is not None
        assert began_at + HALF_AN_HOUR <= expires_at <= utc_now() + HALF_AN_HOUR


async def test_a_policy_about_reminders_leaves_claims_alone(api: Api) -> None:
    handoff_id, _ = await claimed_by_bob(api)
    before = await handoff_row(api, handoff_id)

    await set_policy(api, reminderAfter=["PT5M"])

    assert await handoff_row(api, handoff_id) == before


async def about_to_expire(api: Api) -> tuple[Clock, DueWork]:
    """Return the clock and the work of a worker that has looked, 4 seconds before Bob's claim expires."""
    await claimed_by_bob(api)
    clock = Clock(utc_now())
    expires_at = clock.now + timedelta(seconds=4)
    await change_handoffs(api.cast.database, api.cast.account_id, claim_expires_at=expires_at)
    work = DueWork(api.cast.database, api.node.settings.grace, clock)
    assert await work.do() == 0
    return clock, work


@pytest.mark.parametrize(("seconds", "is_spared"), [(9, False), (600, True), (3600, True), (7200, False)])
async def test_after_an_outage_claims_last_as_much_longer_as_it_took_an_hour_at_most(
    api: Api, seconds: int, is_spared: bool
) -> None:
    clock, work = await about_to_expire(api)

    clock.move(timedelta(seconds=seconds))
    if is_spared:
        assert await work.do() == 0
        clock.move(timedelta(seconds=3))
        assert await work.do() == 0
        clock.move(timedelta(seconds=2))

    assert await work.do() == 1


async def test_a_second_outage_takes_nothing_from_what_the_first_one_spared(api: Api) -> None:
    clock, work = await about_to_expire(api)

    looks = []
    for seconds in (600, 1, 15, 4):
        clock.move(timedelta(seconds=seconds))
        looks.append(await work.do())

    assert looks == [0, 0, 0, 1]


async def test_a_look_that_failed_was_none(api: Api) -> None:
    clock, work = await about_to_expire(api)
    clock.move(timedelta(seconds=300))
    await rename_table(api.cast.database, "handoffs", "gone")
    with pytest.raises(DBAPIError):
        await work.do()
    await rename_table(api.cast.database, "gone", "handoffs")
    clock.move(timedelta(seconds=1))

    assert await work.do() == 0


async def test_where_nothing_can_be_stored_claims_last_longer_as_well(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, work = await about_to_expire(api)
    with monkeypatch.context() as patch:
        patch.setattr(reminders, "expire_claim", find_no_room)
        clock.move(timedelta(seconds=5))
        with pytest.raises(DBAPIError):
            await work.do()
    clock.move(timedelta(seconds=60))

    assert await work.do() == 0
