"""Nobody is reminded of what does not wait for somebody, or where the account has not asked for it."""

from datetime import timedelta
from uuid import UUID

import pytest

from resolvers import reminders
from schema.context import utc_now
from tests.client import Api
from tests.mailing import do_what_is_due, make_reminders_due, remind, set_policy


async def escalate(api: Api) -> str:
    return await api.escalate(api.cast.alice, (await api.cast.start_session()).id)


@pytest.mark.parametrize("ended_by", ["claim", "resolve"])
async def test_what_does_not_wait_any_more_is_not_reminded_of(api: Api, ended_by: str) -> None:
    cast = api.cast
    await set_policy(api, reminderAfter=["PT5M"])
    session = await cast.start_session()
    handoff_id = await api.escalate(cast.alice, session.id)
    await make_reminders_due(api)
    if ended_by == "claim":
        await api.claim(cast.bob, handoff_id)
    else:
        assert not (await api.change(cast.alice, "resolveSession", sessionId=str(session.id))).errors
    before = await cast.all_rows()

    assert await do_what_is_due(api) == 0

    assert await cast.all_rows() == before


async def test_a_claim_that_comes_between_looking_and_reminding_wins(api: Api) -> None:
    cast = api.cast
    await set_policy(api, reminderAfter=["PT5M"])
    handoff_id = await escalate(api)
    await make_reminders_due(api)
    claimed = await api.claim(cast.bob, handoff_id)
    before = await cast.all_rows()

    async with cast.database.transaction(cast.account_id) as tx:
        reminded = await reminders.remind(tx, UUID(handoff_id), now=utc_now(), grace=timedelta(0))

    assert claimed["__typename"] == "ClaimHandoffSuccess"
    assert not reminded
    assert await cast.all_rows() == before


async def test_nobody_is_reminded_of_what_was_parked(api: Api) -> None:
    cast = api.cast
    await set_policy(api, reminderAfter=["PT5M"])
    parked = (await api.create(cast.alice, (await cast.start_session()).id, "PARK"))["handoff"]["id"]

    assert await remind(api) == 0

    assert await api.deliveries(parked) == []
    assert await api.timeline(parked) == [("HANDOFF_CREATED", "Alice", "parked the session")]


async def test_without_a_policy_nobody_is_reminded(api: Api) -> None:
    handoff_id = await escalate(api)

    assert await remind(api) == 0

    assert await api.deliveries(handoff_id) == [
        (0, name, "EMAIL", "PENDING", None) for name in ("Adam", "Bob", "Olivia")
    ]
