"""A retried createHandoff finds what the first one made."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text, update

from db import sessions
from db.enums import HandoffIntent
from db.models import idempotency_keys
from db.session import Transaction
from resolvers import handing_off
from resolvers.errors import BadInput
from resolvers.handing_off import Created
from resolvers.new_handoffs import NewHandoff
from tests.cast import Cast
from tests.client import CREATE, Answer, Api
from tests.mailing import set_preferences
from tests.patience import PATIENCE

REUSED = "idempotencyKey was used with another input in the last 24 hours. Use a new key."


async def test_a_retry_returns_the_first_handoff_and_writes_nothing(api: Api) -> None:
    cast = api.cast
    session = await cast.start_session()
    first = await api.create(cast.alice, session.id, notes="MTU?", idempotencyKey="k1")
    handoff_id = first["handoff"]["id"]
    before = await api.handoff(handoff_id), await cast.last_event()

    second = await api.create(cast.alice, session.id, notes="MTU?", idempotencyKey="k1")

    assert second == first
    assert (await api.handoff(handoff_id), await cast.last_event()) == before


async def test_a_retry_shows_the_handoff_as_it_is_now(api: Api) -> None:
    cast = api.cast
    session = await cast.start_session()
    first = await api.create(cast.alice, session.id, idempotencyKey="k1")
    await api.claim(cast.bob, first["handoff"]["id"])

    claimed = await api.create(cast.alice, session.id, idempotencyKey="k1")
    (await api.change(cast.bob, "resolveSession", sessionId=str(session.id))).only()
    resolved = await api.create(cast.alice, session.id, idempotencyKey="k1")

    answers = [(a["handoff"]["id"], a["handoff"]["state"]) for a in (claimed, resolved)]
    assert answers == [(first["handoff"]["id"], "CLAIMED"), (first["handoff"]["id"], "CLOSED")]


async def test_a_retry_shows_the_reach_that_was_recorded_then(api: Api) -> None:
    cast = api.cast
    session = await cast.start_session()
    first = await api.create(cast.alice, session.id, idempotencyKey="k1")
    await cast.change(cast.olivia, active=False)

    second = await api.create(cast.alice, session.id, idempotencyKey="k1")

    assert first["reach"] == second["reach"] == {"online": 0, "email": 3, "unreachable": False}


async def test_a_retry_repeats_that_nobody_could_be_reached(api: Api) -> None:
    cast = api.cast
    session = await cast.start_session()
    for user in (cast.bob, cast.olivia, cast.adam):
        await set_preferences(api, user, muteEmail=True)
    first = await api.create(cast.alice, session.id, idempotencyKey="k1")
    await set_preferences(api, cast.bob, muteEmail=False)

    second = await api.create(cast.alice, session.id, idempotencyKey="k1")

    assert first["reach"] == second["reach"] == {"online": 0, "email": 3, "unreachable": True}


@pytest.mark.parametrize("changed", ["session", "intent", "notes", "priority"])
async def test_the_same_key_with_another_input_is_refused(api: Api, changed: str) -> None:
    cast = api.cast
    session_id = str((await cast.start_session()).id)
    given = {"sessionId": session_id, "intent": "ESCALATE", "notes": "MTU?", "priority": "NORMAL"}
    first = await api.ask(cast.alice, CREATE, input={**given, "idempotencyKey": "k1"})
    other = {
        "session": {"sessionId": str((await cast.start_session()).id)},
        "intent": {"intent": "PARK"},
        "notes": {"notes": "DNS?"},
        "priority": {"priority": "URGENT"},
    }[changed]
    before = await cast.last_event()

    answer = await api.ask(cast.alice, CREATE, input={**given, **other, "idempotencyKey": "k1"})

    assert first.only()["__typename"] == "CreateHandoffSuccess"
    assert answer.data is None
    assert [(e["message"], e["extensions"]["code"]) for e in answer.errors] == [(REUSED, "BAD_USER_INPUT")]
    assert await cast.last_event() == before


async def test_what_is_left_out_equals_its_default(api: Api) -> None:
    cast = api.cast
    session = await cast.start_session()
    first = await api.create(cast.alice, session.id, idempotencyKey="k1")

    second = await api.create(cast.alice, session.id, notes=None, priority="NORMAL", idempotencyKey="k1")

    assert second == first


async def test_without_a_key_a_repeated_request_is_refused(api: Api) -> None:
    cast = api.cast
    session = await cast.start_session()
    first = await api.create(cast.alice, session.id)

    second = await api.create(cast.alice, session.id)

    assert second["__typename"] == "SessionAlreadyHandedOff"
    assert second["handoff"] == {"id": first["handoff"]["id"]}


async def test_the_key_of_another_user_is_another_key(api: Api) -> None:
    cast = api.cast
    one, other = await cast.start_session(), await cast.start_session()

    first = await api.create(cast.alice, one.id, idempotencyKey="k1")
    second = await api.create(cast.bob, other.id, idempotencyKey="k1")
    foreign = await api.create(
        cast.charlie, (await cast.start_session(owner=cast.charlie)).id, idempotencyKey="k1"
    )

    ids = {a["handoff"]["id"] for a in (first, second, foreign)}
    assert len(ids) == 3


@pytest.mark.parametrize("key", ["", "  ", "x" * 201, "NUL \x00"])
async def test_a_key_that_cannot_be_stored_is_refused_and_nothing_is_made(api: Api, key: str) -> None:
    cast = api.cast
    session = await cast.start_session()
    before = await api.session(session.id), await cast.last_event()

    given = {"sessionId": str(session.id), "intent": "ESCALATE", "idempotencyKey": key}
    answer = await api.ask(cast.alice, CREATE, input=given)

    assert (answer.data, answer.codes) == (None, ["BAD_USER_INPUT"])
    assert (await api.session(session.id), await cast.last_event()) == before


async def test_a_refused_request_does_not_use_its_key(api: Api) -> None:
    cast = api.cast
    waiting, free = await cast.start_session(), await cast.start_session()
    await api.escalate(cast.bob, waiting.id)
    refused = await api.create(cast.alice, waiting.id, idempotencyKey="k1")

    made = await api.create(cast.alice, free.id, idempotencyKey="k1")

    assert [refused["__typename"], made["__typename"]] == ["SessionAlreadyHandedOff", "CreateHandoffSuccess"]


async def test_a_key_older_than_a_day_is_forgotten(api: Api) -> None:
    cast = api.cast
    first = await api.create(cast.alice, (await cast.start_session()).id, idempotencyKey="k1")
    await _age_keys(cast, timedelta(hours=24, seconds=1))

    second = await api.create(cast.alice, (await cast.start_session()).id, idempotencyKey="k1")

    assert second["__typename"] == "CreateHandoffSuccess"
    assert second["handoff"]["id"] != first["handoff"]["id"]


async def test_a_key_of_nearly_a_day_is_remembered(api: Api) -> None:
    cast = api.cast
    session = await cast.start_session()
    first = await api.create(cast.alice, session.id, idempotencyKey="k1")
    await _age_keys(cast, timedelta(hours=23, minutes=50))

    assert await api.create(cast.alice, session.id, idempotencyKey="k1") == first


async def test_concurrent_retries_make_one_handoff(api: Api) -> None:
    cast = api.cast
    session = await cast.start_session()
    before = await cast.last_event()

    answers = await asyncio.gather(
        *(api.create(cast.alice, session.id, idempotencyKey="k1") for _ in range(10))
    )

    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["__typename"] == "CreateHandoffSuccess"
    assert await cast.last_event() == before + 1


@pytest.mark.parametrize("known_before", [True, False], ids=["expired", "new"])
async def test_of_one_key_for_many_sessions_at_once_one_is_accepted_and_the_others_leave_nothing(
    api: Api, known_before: bool
) -> None:
    cast = api.cast
    if known_before:
        await api.create(cast.alice, (await cast.start_session()).id, idempotencyKey="k1")
        await _age_keys(cast, timedelta(hours=25))
    started = [await cast.start_session() for _ in range(6)]
    before = await cast.last_event()

    async def create(session_id: object) -> Answer:
        given = {"sessionId": str(session_id), "intent": "ESCALATE", "idempotencyKey": "k1"}
        return await api.ask(cast.alice, CREATE, input=given)

    answers = await asyncio.gather(*(create(session.id) for session in started))

    (made,) = (answer.only() for answer in answers if not answer.errors)
    assert made["__typename"] == "CreateHandoffSuccess"
    assert [answer.codes for answer in answers if answer.errors] == [["BAD_USER_INPUT"]] * 5
    assert await cast.last_event() == before + 1
    statuses = Counter([(await api.session(session.id))["status"] for session in started])
    assert statuses == {"ESCALATED": 1, "ACTIVE": 5}


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_a_key_that_is_committed_while_another_request_looks_for_it_is_not_forgotten(
    cast: Cast,
) -> None:
    one, other = await cast.start_session(), await cast.start_session()

    async def create_other() -> None:
        async with cast.database.transaction(cast.account_id) as tx:
            await _create(tx, cast, other.id)

    async with cast.database.transaction(cast.account_id) as tx:
        await _create(tx, cast, one.id)
        # Readers pass this lock, writers wait: the other request has not found the key when it stops here.
        await tx.execute(text("LOCK TABLE idempotency_keys IN SHARE MODE"))
        late = asyncio.create_task(create_other())
        await _wait_until_somebody_waits(tx)

    with pytest.raises(BadInput):
        await late
    async with cast.database.reading(cast.account_id) as tx:
        found = await sessions.by_ids(tx, [one.id, other.id])
    assert [found[one.id].status, found[other.id]] == ["ESCALATED", other]


async def _create(tx: Transaction, cast: Cast, session_id: UUID) -> Created:
    new = NewHandoff(session_id=session_id, intent=HandoffIntent.ESCALATE, idempotency_key="k1")
    return await handing_off.create(tx, cast.alice, new, now=datetime.now(UTC), grace=timedelta(0))


async def _wait_until_somebody_waits(tx: Transaction) -> None:
    waiting = text(
        "SELECT true FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
        " WHERE NOT granted AND datname = current_database()"
    )
    async with asyncio.timeout(PATIENCE):
        while not await tx.fetch_value(waiting):
            pass


async def _age_keys(cast: Cast, age: timedelta) -> None:
    async with cast.database.system() as tx:
        await tx.execute(update(idempotency_keys).values(created_at=datetime.now(UTC) - age))
