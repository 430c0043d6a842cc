"""Parking and escalating: what the session and the handoff show then, and what is refused."""

import asyncio
from uuid import UUID

import pytest

from db import handoffs, sessions
from tests.client import Api


@pytest.mark.parametrize(("intent", "status"), [("PARK", "PAUSED"), ("ESCALATE", "ESCALATED")])
async def test_a_handoff_changes_the_session_and_says_who_made_it(api: Api, intent: str, status: str) -> None:
    cast = api.cast
    session_id = str((await cast.start_session()).id)

    answer = await api.create(cast.alice, session_id, intent, notes="Look at the MTU.", priority="URGENT")

    handoff = answer["handoff"]
    assert answer["__typename"] == "CreateHandoffSuccess"
    assert handoff == {
        "id": handoff["id"],
        "intent": intent,
        "priority": "URGENT",
        "state": "OPEN",
        "notes": "Look at the MTU.",
        "createdAt": handoff["createdAt"],
        "handedOffBy": {"id": str(cast.alice.id)},
        "session": {"id": session_id, "status": status, "handoffCount": 1},
    }
    verb = "parked" if intent == "PARK" else "escalated"
    assert await api.timeline(handoff["id"]) == [("HANDOFF_CREATED", "Alice", f"{verb} the session")]


async def test_a_handoff_without_notes_and_priority_has_none_and_is_normal(api: Api) -> None:
    session = await api.cast.start_session()

    plain = (await api.create(api.cast.alice, session.id, notes="  \n "))["handoff"]

    assert (plain["notes"], plain["priority"]) == (None, "NORMAL")


async def test_notes_are_stored_as_written_but_for_the_white_space_around_them(api: Api) -> None:
    session = await api.cast.start_session()

    made = await api.create(api.cast.alice, session.id, notes=" Zażółć\n\n<b>gęślą</b> 👩‍🔧 \n")

    assert made["handoff"]["notes"] == "Zażółć\n\n<b>gęślą</b> 👩‍🔧"


@pytest.mark.parametrize("unknown", ["01890000-0000-7000-8000-000000000000", "no id at all", ""])
async def test_an_unknown_session_is_not_found(api: Api, unknown: str) -> None:
    answer = await api.create(api.cast.alice, unknown)

    assert answer == {
        "__typename": "SessionNotFound",
        "message": "No session of your account has this id.",
    }


async def test_a_session_of_another_account_is_not_found_and_left_alone(api: Api) -> None:
    cast = api.cast
    foreign = await cast.start_session(owner=cast.charlie)
    events = await cast.last_event(cast.other_account_id)

    answer = await api.create(cast.alice, foreign.id)

    assert answer["__typename"] == "SessionNotFound"
    async with cast.database.reading(cast.other_account_id) as tx:
        assert await sessions.by_ids(tx, [foreign.id]) == {foreign.id: foreign}
    assert await cast.last_event(cast.other_account_id) == events


async def test_a_resolved_session_is_refused_and_left_alone(api: Api) -> None:
    cast = api.cast
    session_id = str((await cast.start_session()).id)
    (await api.change(cast.alice, "resolveSession", sessionId=session_id)).only()
    before = await api.session(session_id), await cast.last_event()

    answer = await api.create(cast.alice, session_id)

    assert answer == {
        "__typename": "SessionResolved",
        "message": "This session is resolved. Start a new one.",
    }
    assert (await api.session(session_id), await cast.last_event()) == before


async def test_a_session_that_waits_is_refused_with_the_handoff_it_waits_with(api: Api) -> None:
    cast = api.cast
    session = await cast.start_session()
    first = await api.create(cast.alice, session.id, "PARK")
    before = await api.session(session.id), await cast.last_event()

    answer = await api.create(cast.bob, session.id)

    assert answer == {
        "__typename": "SessionAlreadyHandedOff",
        "message": "This session waits in the queue already.",
        "handoff": {"id": first["handoff"]["id"]},
    }
    assert (await api.session(session.id), await cast.last_event()) == before


async def test_of_two_handoffs_of_one_session_at_once_one_is_created(api: Api) -> None:
    cast = api.cast
    session = await cast.start_session()

    answers = await asyncio.gather(*(api.create(user, session.id) for user in (cast.alice, cast.bob)))

    (made,) = (a for a in answers if a["__typename"] == "CreateHandoffSuccess")
    (refused,) = (a for a in answers if a["__typename"] == "SessionAlreadyHandedOff")
    assert refused["handoff"]["id"] == made["handoff"]["id"]
    assert (await api.session(session.id))["handoffCount"] == 1
    assert len(await api.deliveries(made["handoff"]["id"])) == len(cast.responders) - 1


async def test_a_claimed_session_handed_off_again_closes_the_first_and_makes_a_second(api: Api) -> None:
    cast = api.cast
    session = await cast.start_session()
    first = await api.escalate(cast.alice, session.id)
    await api.claim(cast.bob, first)

    second = (await api.create(cast.bob, session.id, "PARK"))["handoff"]

    old = await api.handoff(first)
    assert (old["state"], old["claimedBy"]["name"]) == ("CLOSED", "Bob")
    assert [entry[:2] for entry in await api.timeline(first)] == [
        ("HANDOFF_CREATED", "Alice"),
        ("HANDOFF_CLAIMED", "Bob"),
        ("HANDOFF_CLOSED", "Bob"),
    ]
    assert (second["state"], second["session"]["handoffCount"]) == ("OPEN", 2)
    assert second["id"] != first
    session_now = await api.session(session.id)
    assert (session_now["status"], session_now["escalatedTo"]) == ("PAUSED", None)
    assert await api.timeline(second["id"]) == [("HANDOFF_CREATED", "Bob", "parked the session")]


async def test_the_handoff_is_stored_with_the_team_of_its_session(api: Api) -> None:
    cast = api.cast
    session = await cast.start_session(in_team=True)

    handoff_id = UUID(await api.escalate(cast.alice, session.id))

    async with cast.database.reading(cast.account_id) as tx:
        row = (await handoffs.by_ids(tx, [handoff_id]))[handoff_id]
    assert (row.session_id, row.team_id, row.round) == (session.id, cast.team_id, 0)
