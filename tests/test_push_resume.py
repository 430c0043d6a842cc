"""A dashboard that comes back with the cursor of what it saw last gets each event once, in order."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from db.session import Database
from tests.cast import Cast
from tests.feeds import commit
from tests.live import Live, running_server
from tests.sockets import ESCALATIONS, QUEUE_CHANGES


async def test_what_was_missed_comes_in_order_and_then_what_happens(live: Live) -> None:
    cast = live.cast
    async with live.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS, after=await live.cursor())
        first = await live.escalate_new()
        seen = await pushed.next_event()
    assert seen["handoff"]["id"] == first

    missed = [await live.escalate_new() for _ in range(30)]
    async with live.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS, after=seen["cursor"])
        resumed = await pushed.next_events(30)
        live_id = await live.escalate_new()
        after_all = await pushed.next_event()

    assert [event["handoff"]["id"] for event in resumed] == missed
    cursors = [int(event["cursor"]) for event in resumed]
    assert cursors == sorted(set(cursors))
    assert [event["missedBefore"] for event in resumed] == [0] * 30
    assert after_all["handoff"]["id"] == live_id


async def test_reconnecting_while_others_escalate_loses_nothing_and_repeats_nothing(live: Live) -> None:
    cast = live.cast
    cursor = await live.cursor()
    escalated: list[str] = []

    async def escalate_thirty() -> None:
        for _ in range(10):
            escalated.extend(await asyncio.gather(*(live.escalate_new() for _ in range(3))))

    async def follow(seen: list[dict[str, Any]]) -> None:
        """Read 30 escalations, reconnecting after every second one."""
        while len(seen) < 30:
            async with live.dashboard(cast.bob) as socket:
                after = seen[-1]["cursor"] if seen else cursor
                pushed = await socket.subscribe(ESCALATIONS, after=after)
                seen.extend(await pushed.next_events(2))

    dashboards: list[list[dict[str, Any]]] = [[], [], []]
    await asyncio.gather(escalate_thirty(), *(follow(seen) for seen in dashboards))

    for seen in dashboards:
        assert sorted(event["handoff"]["id"] for event in seen) == sorted(escalated)
        cursors = [int(event["cursor"]) for event in seen]
        assert cursors == sorted(cursors)


async def test_the_cursor_of_one_subscription_serves_the_other(live: Live) -> None:
    cast = live.cast
    await live.escalate_new()
    parked = await live.escalate_new(intent="PARK")
    async with live.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS, after="0")
        cursor = (await pushed.next_event())["cursor"]

        changes = await socket.subscribe(QUEUE_CHANGES, after=cursor)
        change = await changes.next_event()

    assert (change["kind"], change["handoff"]["id"]) == ("ADDED", parked)


async def test_what_is_replayed_shows_the_handoff_as_it_is_now(live: Live) -> None:
    cast = live.cast
    handoff_id = await live.escalate_new()
    await live.claim(cast.adam, handoff_id)
    async with live.dashboard(cast.bob) as socket:
        pushed = await socket.subscribe(ESCALATIONS, after="0")

        event = await pushed.next_event()

    assert (event["round"], event["handoff"]["state"]) == (0, "CLAIMED")


@pytest.mark.parametrize("subscription", [ESCALATIONS, QUEUE_CHANGES])
async def test_a_cursor_that_never_was_is_refused(live: Live, subscription: str) -> None:
    latest = int(await live.cursor())
    garbage = ["", "abc", "-1", "1.5", "²", "٣", " 1", "9" * 19, "9" * 5000]
    future = [str(latest + 1), "9" * 18]
    async with live.dashboard(live.cast.bob) as socket:
        for cursor in garbage + future:
            refused = await socket.subscribe(subscription, after=cursor)

            assert await refused.refusal() == "BAD_USER_INPUT", cursor


async def test_a_refused_cursor_leaves_nobody_online(live: Live) -> None:
    async with live.dashboard(live.cast.bob) as socket:
        refused = await socket.subscribe(ESCALATIONS, after="garbage")
        await refused.refusal()

        await live.until_online()


async def test_a_server_that_stops_lets_its_dashboards_come_back(database_url: str, cast: Cast) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(AsyncExitStack())
        live = await server.enter_async_context(running_server(database_url, cast))
        socket = await stack.enter_async_context(live.dashboard(cast.bob))
        pushed = await socket.subscribe(ESCALATIONS)
        await live.until_online(cast.bob)

        await server.aclose()

        assert await socket.close_code() == 1012
        # After a `complete`, a client would take the subscription for finished.
        with pytest.raises(AssertionError, match="closed with 1012"):
            await pushed.next_message()


async def test_a_cursor_that_the_node_has_not_read_up_to_is_as_good_as_any(
    live: Live, database_url: str
) -> None:
    cast = live.cast
    elsewhere = Database(database_url)  # of a node whose wake-ups are lost
    async with live.dashboard(cast.adam) as watching, live.dashboard(cast.bob) as socket:
        watched = await watching.subscribe(QUEUE_CHANGES, after=await live.cursor())
        first = await live.escalate_new()
        await watched.next_event()
        await commit(elsewhere, cast.account_id, 3)

        pushed = await socket.subscribe(ESCALATIONS, after=await live.cursor())
        await live.until_online(cast.bob)
        second = await live.escalate_new()

        assert (await pushed.next_event())["handoff"]["id"] == second != first
    await elsewhere.dispose()


async def test_a_queue_that_is_read_after_the_latest_cursor_is_kept_true_from_then_on(live: Live) -> None:
    cast = live.cast
    waiting = await live.escalate_new()
    cursor = (await live.ask(cast.vera, "{ latestCursor }")).only()
    between = await live.escalate_new()
    queue = (await live.ask(cast.vera, "{ queue { edges { node { id } } } }")).only()
    await live.claim(cast.bob, waiting)

    async with live.dashboard(cast.vera) as socket:
        changes = await socket.subscribe(QUEUE_CHANGES, after=cursor)
        told = await changes.next_events(2)

    assert [edge["node"]["id"] for edge in queue["edges"]] == [between, waiting]
    assert [(change["kind"], change["handoff"]["id"]) for change in told] == [
        ("ADDED", between),
        ("CLAIMED", waiting),
    ]


async def test_the_latest_cursor_is_that_of_ones_own_account(live: Live) -> None:
    cast = live.cast
    await live.escalate_new()

    cursors = [(await live.ask(user, "{ latestCursor }")).only() for user in (cast.vera, cast.charlie)]

    of_charlie = await cast.last_event(cast.charlie.account_id)
    assert cursors == [str(await cast.last_event()), str(of_charlie)]
