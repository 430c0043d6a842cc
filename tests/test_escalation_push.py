"""An escalation is pushed to every dashboard of its account but the escalator's, and to nobody else."""

import pytest

from db import users
from db.enums import HandoffIntent, Role
from resolvers import admin, handing_off
from resolvers.new_handoffs import NewHandoff
from tests.live import Live
from tests.sockets import ESCALATIONS


async def test_an_escalation_reaches_bob_as_it_stands(live: Live) -> None:
    cast = live.cast
    session = await cast.start_session()
    async with live.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS, after=await live.cursor())

        handoff_id = await live.escalate(cast.alice, session.id)

        assert await pushed.next_event() == {
            "cursor": await live.cursor(),
            "missedBefore": 0,
            "round": 0,
            "handoff": {
                "id": handoff_id,
                "state": "OPEN",
                "intent": "ESCALATE",
                "session": {"id": str(session.id)},
            },
        }


async def test_every_dashboard_gets_it_but_not_the_one_of_who_escalated(live: Live) -> None:
    cast = live.cast
    async with live.dashboard(cast.alice) as alices, live.dashboard(cast.bob) as bobs:
        after = await live.cursor()
        of_alice = await alices.subscribe(ESCALATIONS, after=after)
        of_bob = [await bobs.subscribe(ESCALATIONS, after=after) for _ in range(2)]

        by_alice = await live.escalate_new(cast.alice)
        by_bob = await live.escalate_new(cast.bob)

        assert (await of_alice.next_event())["handoff"]["id"] == by_bob
        assert [(await operation.next_event())["handoff"]["id"] for operation in of_bob] == [by_alice] * 2


async def test_whoever_is_online_is_pushed_to_and_what_was_before_is_not_replayed(live: Live) -> None:
    cast = live.cast
    await live.escalate_new()
    async with live.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS)
        await live.until_online(cast.bob)

        handoff_id = await live.escalate_new()

        assert (await pushed.next_event())["handoff"]["id"] == handoff_id


async def test_a_viewers_wallboard_sees_the_escalation_and_does_not_count_as_online(live: Live) -> None:
    cast = live.cast
    async with live.dashboard(cast.vera) as wallboard, live.dashboard(cast.bob) as socket:
        seen = await wallboard.subscribe(ESCALATIONS, after=await live.cursor())
        await live.escalate_new()
        await seen.next_event()
        await socket.subscribe(ESCALATIONS)
        await live.until_online(cast.bob)

        created = await live.create(cast.alice, (await cast.start_session()).id)

    assert created["reach"] == {"online": 1, "email": 2, "unreachable": False}


async def test_a_responder_who_leaves_is_not_online_any_more(live: Live) -> None:
    cast = live.cast
    async with live.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS)
        await live.until_online(cast.bob)
        await pushed.complete()
        await live.until_online()

        created = await live.create(cast.alice, (await cast.start_session()).id)

    assert created["reach"] == {"online": 0, "email": 3, "unreachable": False}


async def test_a_dashboard_of_a_team_gets_that_teams_escalations_alone(live: Live) -> None:
    cast = live.cast
    async with live.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS, teamId=str(cast.team_id), after=await live.cursor())

        await live.escalate_new(in_team=False)
        of_the_team = await live.escalate_new(in_team=True)

        assert (await pushed.next_event())["handoff"]["id"] == of_the_team


async def test_a_dashboard_of_a_team_counts_as_online_for_that_team_alone(live: Live) -> None:
    cast = live.cast
    async with live.dashboard(cast.bob) as bobs, live.dashboard(cast.adam) as adams:
        await adams.subscribe(ESCALATIONS)
        await live.until_online(cast.adam)
        pushed = await bobs.subscribe(ESCALATIONS, teamId=str(cast.team_id), after=await live.cursor())
        await live.escalate_new(in_team=True)
        await pushed.next_event()

        elsewhere = await live.create(cast.alice, (await cast.start_session()).id)
        in_team = await live.create(cast.alice, (await cast.start_session(in_team=True)).id)

    assert (elsewhere["reach"]["online"], elsewhere["reach"]["email"]) == (1, 2)
    assert (in_team["reach"]["online"], in_team["reach"]["email"]) == (2, 1)


@pytest.mark.parametrize("team_id", ["01890000-0000-7000-8000-000000000000", "networks"])
async def test_an_unknown_team_is_not_found(live: Live, team_id: str) -> None:
    async with live.dashboard(live.cast.bob) as socket:
        refused = await socket.subscribe(ESCALATIONS, teamId=team_id)

        assert await refused.refusal() == "NOT_FOUND"


async def test_the_team_of_another_account_is_not_found(live: Live) -> None:
    async with live.dashboard(live.cast.charlie) as socket:
        refused = await socket.subscribe(ESCALATIONS, teamId=str(live.cast.team_id))

        assert await refused.refusal() == "NOT_FOUND"


async def test_parking_pushes_nothing(live: Live) -> None:
    cast = live.cast
    async with live.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS, after=await live.cursor())

        await live.escalate_new(intent="PARK")
        escalated = await live.escalate_new()

        assert (await pushed.next_event())["handoff"]["id"] == escalated


async def test_a_claim_pushes_nothing_and_a_release_pushes_round_1_to_all_but_the_releaser(
    live: Live,
) -> None:
    cast = live.cast
    handoff_id = await live.escalate_new()
    async with live.dashboard(cast.alice) as alices, live.dashboard(cast.bob) as bobs:
        after = await live.cursor()
        of_alice = await alices.subscribe(ESCALATIONS, after=after)
        of_bob = await bobs.subscribe(ESCALATIONS, after=after)

        await live.claim(cast.bob, handoff_id)
        await live.release(cast.bob, handoff_id)
        other = await live.escalate_new(cast.adam)

        heard = await of_alice.next_event()
        assert (heard["round"], heard["handoff"]["id"]) == (1, handoff_id)
        assert (await of_bob.next_event())["handoff"]["id"] == other


async def test_releasing_a_parked_handoff_pushes_nothing(live: Live) -> None:
    cast = live.cast
    async with live.dashboard(cast.adam) as socket:
        pushed = await socket.subscribe(ESCALATIONS, after=await live.cursor())

        parked = await live.escalate_new(intent="PARK")
        await live.claim(cast.bob, parked)
        await live.release(cast.bob, parked)
        escalated = await live.escalate_new()

        assert (await pushed.next_event())["handoff"]["id"] == escalated


async def test_what_was_rolled_back_is_never_pushed(live: Live) -> None:
    cast = live.cast
    session = await cast.start_session()
    new = NewHandoff(session_id=session.id, intent=HandoffIntent.ESCALATE)
    services = live.node.services

    async def escalate_and_fail() -> None:
        async with live.node.database.transaction(cast.account_id) as tx:
            await handing_off.create(tx, cast.alice, new, now=services.now(), grace=services.push_grace)
            raise ConnectionAbortedError

    async with live.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS, after=await live.cursor())

        with pytest.raises(ConnectionAbortedError):
            await escalate_and_fail()
        committed = await live.escalate_new()

        assert (await pushed.next_event())["handoff"]["id"] == committed


async def test_another_account_sees_its_own_escalations_alone(live: Live) -> None:
    cast = live.cast
    async with live.node.database.transaction(cast.other_account_id) as tx:
        now = live.node.services.now()
        dora_id = await admin.add_user(
            tx, email="dora@fabrikam.example", name="Dora", role=Role.OWNER, now=now
        )
        dora = (await users.by_ids(tx, [dora_id]))[dora_id]
    async with live.dashboard(cast.charlie) as socket:
        pushed = await socket.subscribe(ESCALATIONS, after="0")

        await live.escalate_new(cast.alice)
        of_dora = await live.escalate_new(dora)

        assert (await pushed.next_event())["handoff"]["id"] == of_dora
