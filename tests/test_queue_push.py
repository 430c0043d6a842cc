"""`queueChanged` keeps a live queue true."""

from dataclasses import replace
from typing import Any

from tests.assessing import DRAFT, Told, make_assessing
from tests.cast import Cast
from tests.live import Live, running_server
from tests.sockets import QUEUE_CHANGES


async def change(live: Live, mutation: str, session_id: object, **given: object) -> None:
    """Let Alice change a session, with success."""
    answer = await live.change(live.cast.alice, mutation, sessionId=str(session_id), **given)
    assert answer.only()["__typename"] == "SessionSuccess"


def told(event: dict[str, Any]) -> tuple[str, str, str]:
    """Return what changed, of which handoff, and where that stands."""
    return event["kind"], event["handoff"]["id"], event["handoff"]["state"]


async def test_a_handoff_of_either_intent_is_added_with_the_whole_event(live: Live) -> None:
    cast = live.cast
    async with live.dashboard(cast.vera) as socket:
        changes = await socket.subscribe(QUEUE_CHANGES, after=await live.cursor())
        for intent in ("PARK", "ESCALATE"):
            session = await cast.start_session(f"{intent} this")

            handoff_id = await live.escalate(cast.alice, session.id, intent=intent)

            assert await changes.next_event() == {
                "cursor": await live.cursor(),
                "missedBefore": 0,
                "kind": "ADDED",
                "handoff": {
                    "id": handoff_id,
                    "state": "OPEN",
                    "session": {"id": str(session.id), "problemSummary": f"{intent} this"},
                },
            }


async def test_a_claim_a_release_and_the_end_are_told_to_all_who_caused_them_included(live: Live) -> None:
    cast = live.cast
    session = await cast.start_session()
    async with live.dashboard(cast.bob) as socket:
        changes = await socket.subscribe(QUEUE_CHANGES, after=await live.cursor())

        handoff_id = await live.escalate(cast.alice, session.id)
        assert told(await changes.next_event()) == ("ADDED", handoff_id, "OPEN")
        await live.claim(cast.bob, handoff_id)
        assert told(await changes.next_event()) == ("CLAIMED", handoff_id, "CLAIMED")
        await live.release(cast.bob, handoff_id)
        assert told(await changes.next_event()) == ("RELEASED", handoff_id, "OPEN")
        await change(live, "resolveSession", session.id)
        assert told(await changes.next_event()) == ("CLOSED", handoff_id, "CLOSED")


async def test_a_session_that_changes_while_it_waits_updates_the_queue(live: Live) -> None:
    cast = live.cast
    session = await cast.start_session()
    handoff_id = await live.escalate(cast.alice, session.id, intent="PARK")
    async with live.dashboard(cast.vera) as socket:
        changes = await socket.subscribe(QUEUE_CHANGES, after=await live.cursor())
        message = {"role": "USER", "content": "Still down"}

        await change(live, "updateSession", session.id, problemSummary="It is the router")
        await change(live, "appendSessionMessages", session.id, messages=[message])
        await change(live, "addSessionBranch", session.id, label="Swap the router")

        for event in await changes.next_events(3):
            assert told(event) == ("UPDATED", handoff_id, "OPEN")
            assert event["handoff"]["session"]["problemSummary"] == "It is the router"


async def test_a_session_that_changes_out_of_the_queue_tells_nobody(live: Live) -> None:
    cast = live.cast
    never, claimed = await cast.start_session(), await cast.start_session()
    handoff_id = await live.escalate(cast.alice, claimed.id)
    await live.claim(cast.bob, handoff_id)
    async with live.dashboard(cast.vera) as socket:
        changes = await socket.subscribe(QUEUE_CHANGES, after=await live.cursor())

        await change(live, "updateSession", never.id, problemSummary="It is the router")
        await change(live, "updateSession", claimed.id, problemSummary="It is the router")
        marker = await live.escalate_new()

        assert told(await changes.next_event()) == ("ADDED", marker, "OPEN")


async def test_handing_off_a_claimed_session_again_closes_one_handoff_and_adds_another(live: Live) -> None:
    cast = live.cast
    session = await cast.start_session()
    first = await live.escalate(cast.alice, session.id)
    await live.claim(cast.bob, first)
    async with live.dashboard(cast.vera) as socket:
        changes = await socket.subscribe(QUEUE_CHANGES, after=await live.cursor())

        second = await live.escalate(cast.bob, session.id)

        assert told(await changes.next_event()) == ("CLOSED", first, "CLOSED")
        assert told(await changes.next_event()) == ("ADDED", second, "OPEN")


async def test_a_teams_queue_hears_of_that_team_alone(live: Live) -> None:
    async with live.dashboard(live.cast.bob) as socket:
        changes = await socket.subscribe(
            QUEUE_CHANGES, teamId=str(live.cast.team_id), after=await live.cursor()
        )

        await live.escalate_new(in_team=False)
        of_the_team = await live.escalate_new(in_team=True)

        assert told(await changes.next_event()) == ("ADDED", of_the_team, "OPEN")


async def test_watching_the_queue_makes_nobody_online(live: Live) -> None:
    cast = live.cast
    async with live.dashboard(cast.bob) as socket:
        changes = await socket.subscribe(QUEUE_CHANGES, after=await live.cursor())
        await live.escalate_new()
        await changes.next_event()

        created = await live.create(cast.alice, (await cast.start_session()).id)

    assert created["reach"] == {"online": 0, "email": 3, "unreachable": False}


async def test_another_account_hears_of_its_own_queue_alone(live: Live) -> None:
    cast = live.cast
    async with live.dashboard(cast.charlie) as socket:
        changes = await socket.subscribe(QUEUE_CHANGES, after="0")

        await live.escalate_new()
        own = await live.escalate_new(cast.charlie)

        assert told(await changes.next_event()) == ("ADDED", own, "OPEN")


async def test_what_changed_meanwhile_comes_after_the_cursor(live: Live) -> None:
    cast = live.cast
    handoff_id = await live.escalate_new()
    cursor = await live.cursor()
    await live.claim(cast.bob, handoff_id)
    await live.release(cast.bob, handoff_id)
    async with live.dashboard(cast.vera) as socket:
        changes = await socket.subscribe(QUEUE_CHANGES, after=cursor)

        kinds = [event["kind"] for event in await changes.next_events(2)]

    assert kinds == ["CLAIMED", "RELEASED"]


async def test_an_assessment_is_told_with_what_it_says(database_url: str, cast: Cast) -> None:
    asked = """subscription ($after: String) { queueChanged(after: $after) {
      kind handoff { id assessment { status likelyCause } }
    } }"""
    async with (
        running_server(database_url, cast, assessor="rules") as live,
        live.dashboard(cast.vera) as socket,
    ):
        changes = await socket.subscribe(asked, after=await live.cursor())
        handoff_id = await live.escalate(cast.alice, (await cast.start_session()).id)
        added = await changes.next_event()

        await make_assessing(cast.database, Told(replace(DRAFT, evidence=()))).assess_batch()

        pending = {"id": handoff_id, "assessment": {"status": "PENDING", "likelyCause": None}}
        ready = {"status": "READY", "likelyCause": "The old password is cached."}
        assert added == {"kind": "ADDED", "handoff": pending}
        assert await changes.next_event() == {
            "kind": "ASSESSED",
            "handoff": {"id": handoff_id, "assessment": ready},
        }
