"""What is written once for all is what each would be sent alone, and nobody pays for who reads nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

from db import events
from db.enums import EventKind
from db.events import Event
from db.users import UserRow
from notify.subscribers import QUEUE_LENGTH
from schema.streams import Streams
from server.wires import Gate, Inbox, text_frame
from tests.cast import Cast, deactivate
from tests.live import Live, running_server
from tests.mailing import set_preferences
from tests.sockets import ESCALATIONS, QUEUE_CHANGES, Message, Operation, eventually
from tests.test_shared_streams import CHOSEN, EVERYTHING

NEVER = 3600.0  #: seconds between two looks at the viewers, where events are to be enough
ALIASED = """
subscription Board($after: String, $without: Boolean = true) {
  changed: queueChanged(after: $after) { ...Change again: kind @skip(if: $without) __typename }
}
fragment Change on QueueChange { which: kind handoff { ...Brief ... on Handoff { notes } } }
fragment Brief on Handoff { number: id session { problem: problemSummary owner { name } } }
"""
WITH_ERRORS = """
subscription ($after: String, $first: Int!) { queueChanged(after: $after) {
  kind handoff { id deliveries(first: $first) { totalCount } }
} }
"""
WITH_VIEWER = """
subscription ($after: String) { queueChanged(after: $after) {
  kind handoff { id myNotice { deliveries { recipient { name } } } }
} }
"""
COLUMNS = """
subscription ($after: String) { queueChanged(after: $after) { cursor handoff {
  __typename id intent priority state notes createdAt claimedAt claimedBy { id name active }
  handedOffBy { name role } sourceBranch { label }
  session { id status problemSummary branching stepCount owner { id name } team { name } }
} } }
"""
COUNTED = "subscription ($after: String) { queueChanged(after: $after) { cursor missedBefore kind } }"
BULKY = """
subscription ($after: String) { queueChanged(after: $after) { cursor missedBefore handoff { notes } } }
"""
ASKED: list[tuple[str, dict[str, Any]]] = [
    (QUEUE_CHANGES, {}),
    (ESCALATIONS, {}),
    (EVERYTHING, {}),
    (COLUMNS, {}),
    (CHOSEN, {"withNotes": True}),
    (CHOSEN, {"withNotes": False}),
    (ALIASED, {}),
    (ALIASED, {"without": False}),
    (WITH_ERRORS, {"first": 5}),
    (WITH_ERRORS, {"first": 0}),
    (WITH_VIEWER, {}),
]


@dataclass(frozen=True, slots=True)
class Both:
    """The same subscription on a node that shares, and on one that does not."""

    shared: Operation
    alone: Operation
    tells_claims: bool


@pytest.fixture
async def alone(database_url: str, cast: Cast, live: Live) -> AsyncIterator[Live]:
    """A second node, which takes no short cut, and hears of the first one's commits."""
    async with running_server(database_url, cast, shared_streams=False, exact_columns=False) as alone:
        live.node.database.on_commit.append(alone.node.wakeups.announce_commit)
        yield alone


async def test_each_is_written_what_it_would_be_sent_alone(live: Live, alone: Live) -> None:
    cast = live.cast
    async with AsyncExitStack() as stack:
        everybody: list[Both] = []
        for user in (cast.vera, cast.bob, cast.olivia):
            everybody += await subscribe_to_all(stack, live, alone, user, ASKED)
        in_team = await subscribe_to_all(
            stack, live, alone, cast.vera, [(QUEUE_CHANGES, {"teamId": str(cast.team_id)})]
        )
        await until_followed(live, 3 * len(ASKED) + 1)

        handoff_id = await live.escalate_new()
        assert await seen(everybody, alone=False) == await seen(everybody, alone=True)
        await until_followed(live, 3 * (len(ASKED) - 1) + 1)  # one needs its viewer, and goes on alone

        await live.claim(cast.bob, handoff_id)
        claims = [both for both in everybody if both.tells_claims]
        assert await seen(claims, alone=False) == await seen(claims, alone=True)

        await live.escalate_new(in_team=True)
        assert await seen(everybody + in_team, alone=False) == await seen(everybody + in_team, alone=True)


async def test_others_have_their_turn_while_many_are_written_to(live: Live) -> None:
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(live.dashboard(live.cast.vera)) for _ in range(3)]
        operations = [await socket.subscribe(COUNTED) for socket in sockets for _ in range(40)]
        await until_followed(live, 120)
        (fanout,) = streams(live).fanouts.values()
        began = {follower: follower.told for follower in fanout._followers}
        seen: set[int] = set()

        async def watch() -> None:
            while True:
                seen.add(sum(follower.told > told for follower, told in began.items()))
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        await live.escalate_new()
        for operation in operations:
            await operation.next_event()
        watching.cancel()

        assert seen == {0, 50, 100, 120}


async def test_an_id_of_whatever_characters_is_written_as_json(live: Live) -> None:
    odd = 'a"b\\c\n\u00fc\u2028{}'
    async with live.dashboard(live.cast.vera) as socket:
        pushed = await socket.subscribe(QUEUE_CHANGES, operation_id=odd)
        await until_followed(live, 1)

        handoff_id = await live.escalate_new()

        assert (await pushed.next_event())["handoff"]["id"] == handoff_id
        assert socket.frame_types == {str}


async def test_who_reads_nothing_goes_on_alone_and_then_misses_nothing_untold(live: Live) -> None:
    cast = live.cast
    many = 40  # so that few events are more than what lies between a server and a client
    async with live.dashboard(cast.vera) as frozen, live.dashboard(cast.olivia) as quick:
        followed = [await frozen.subscribe(BULKY) for _ in range(many)]
        watched = await quick.subscribe(BULKY)
        await until_followed(live, many + 1)
        frozen.connection.transport.pause_reading()

        told = 0
        while following(live) == many + 1:
            await live.escalate(cast.alice, (await cast.start_session()).id, notes="all of it " * 2000)
            await watched.next_event()
            told += 1

        frozen.connection.transport.resume_reading()
        found = [await operation.next_events(told) for operation in followed]
        assert found == [found[0]] * many
        assert [event["missedBefore"] for event in found[0]] == [0] * told
        await until_followed(live, many + 1)


async def test_events_that_a_queue_cannot_hold_are_lost_to_each_as_if_it_were_alone(
    live: Live, alone: Live
) -> None:
    cast = live.cast
    async with AsyncExitStack() as stack:
        followed = await subscribe_to_all(stack, live, alone, cast.vera, [(COUNTED, {})])
        await until_followed(live, 1)
        handoff_id = await live.escalate_new()
        assert await seen(followed, alone=False) == await seen(followed, alone=True)

        async with live.node.database.transaction(cast.account_id) as tx:
            for _ in range(QUEUE_LENGTH + 4):
                event = Event(kind=EventKind.SESSION_UPDATED, at=datetime.now(UTC), summary="changed it")
                await events.append(tx, replace(event, handoff_id=UUID(handoff_id)))

        (both,) = followed
        shared = await both.shared.next_events(QUEUE_LENGTH)
        assert shared == await both.alone.next_events(QUEUE_LENGTH)
        assert [event["missedBefore"] for event in shared] == [4] + [0] * (QUEUE_LENGTH - 1)
        await until_followed(live, 1)


async def test_who_begins_to_follow_amid_a_stream_of_events_gets_each_once(live: Live) -> None:
    after = await live.cursor()

    async def write() -> None:
        for _ in range(12):
            await live.escalate_new()

    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(live.dashboard(live.cast.vera)) for _ in range(6)]
        writing = asyncio.create_task(write())
        operations, found = [], []
        for socket in sockets:
            operations.append(await socket.subscribe(COUNTED, after=after))
            found.append(await operations[-1].next_events(1))
        await writing

        for first, operation in zip(found, operations, strict=True):
            first.extend(await operation.next_events(11))
        assert found == [found[0]] * len(sockets)
        cursors = [int(event["cursor"]) for event in found[0]]
        assert cursors == sorted(set(cursors))
        await until_followed(live, len(sockets))


async def test_nothing_is_written_to_who_was_deactivated_however_seldom_viewers_are_looked_at(
    database_url: str, cast: Cast
) -> None:
    async with (
        running_server(database_url, cast, recheck_seconds=NEVER) as live,
        live.dashboard(cast.bob) as socket,
        live.dashboard(cast.vera) as other,
    ):
        pushed, going_on = await socket.subscribe(QUEUE_CHANGES), await other.subscribe(QUEUE_CHANGES)
        await until_followed(live, 2)

        async with live.node.database.transaction(cast.account_id) as tx:
            await deactivate(tx, cast.bob)
        handoff_id = await live.escalate_new()

        assert await pushed.refusal() == "UNAUTHENTICATED"
        assert (await going_on.next_event())["handoff"]["id"] == handoff_id


async def test_no_receipt_is_asked_of_who_has_just_muted_pushes(database_url: str, cast: Cast) -> None:
    async with (
        running_server(database_url, cast, recheck_seconds=NEVER) as live,
        live.dashboard(cast.bob) as muting,
        live.dashboard(cast.olivia) as other,
    ):
        pushed = await muting.subscribe(ESCALATIONS)
        confirmed = await other.subscribe(ESCALATIONS)
        await until_followed(live, 2)

        await set_preferences(live, cast.bob, mutePush=True)
        await live.escalate_new()

        await asyncio.gather(pushed.next_event(), confirmed.next_event())
        await (await muting.subscribe("{ me { name } }")).next_event()
        await eventually(lambda: is_pinged(other.pings))
        assert muting.pings == []


async def test_whoever_leaves_leaves_nothing(live: Live) -> None:
    async with live.dashboard(live.cast.vera) as socket, live.dashboard(live.cast.bob) as other:
        first, second = await socket.subscribe(QUEUE_CHANGES), await other.subscribe(QUEUE_CHANGES)
        await until_followed(live, 2)
        (fanout,) = streams(live).fanouts.values()

        await first.complete()
        await until_followed(live, 1)
        handoff_id = await live.escalate_new()
        assert (await second.next_event())["handoff"]["id"] == handoff_id
        await second.complete()
        await until_followed(live, 0)

        assert streams(live).fanouts == {}
        assert not fanout._followers


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_a_frame_of_any_length_is_one_text_message(length: int) -> None:
    message = b"x" * length
    client = Protocol(Side.CLIENT, state=State.OPEN)

    client.receive_data(text_frame(message[:5], message[5:]))

    assert client.events_received() == [Frame(Opcode.TEXT, message)]


async def test_an_inbox_gives_what_came_in_its_order_also_to_who_waits_again() -> None:
    inbox = Inbox()
    waiting = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    waiting = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    for code in (1, 2, 3):
        inbox.put_nowait({"type": "websocket.disconnect", "code": code, "reason": None})

    assert [(await waiting)["code"], (await inbox.get())["code"]] == [1, 2]  # type: ignore[typeddict-item]
    assert not inbox.empty()
    await inbox.get()
    assert inbox.empty()


async def test_a_gate_lets_through_all_who_wait_once_it_is_open() -> None:
    gate = Gate()
    await gate.wait()
    gate.clear()
    waiting = [asyncio.create_task(gate.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    assert (gate.is_set(), [task.done() for task in waiting]) == (False, [True, False, False])

    gate.set()

    await asyncio.gather(*waiting[1:])
    assert gate.is_set()


async def subscribe_to_all(
    stack: AsyncExitStack, live: Live, alone: Live, user: UserRow, asked: list[tuple[str, dict[str, Any]]]
) -> list[Both]:
    """Subscribe on both nodes, from now on."""
    after = await live.cursor()
    sockets = [await stack.enter_async_context(node.dashboard(user)) for node in (live, alone)]
    found = []
    for document, variables in asked:
        shared, unshared = [await socket.subscribe(document, after=after, **variables) for socket in sockets]
        found.append(Both(shared, unshared, tells_claims="queueChanged" in document))
    return found


async def seen(followed: list[Both], *, alone: bool) -> list[Message]:
    """Wait for the next message of each, and return what it holds."""
    operations = [both.alone if alone else both.shared for both in followed]
    messages = [await operation.next_message() for operation in operations]
    return [{name: value for name, value in message.items() if name != "id"} for message in messages]


def streams(live: Live) -> Streams:
    found = live.node.services.streams
    assert found is not None
    return found


def following(live: Live) -> int:
    """Count the subscriptions that follow with others."""
    return sum(len(fanout._followers) for fanout in streams(live).fanouts.values())


async def until_followed(live: Live, count: int) -> None:
    async def are_following() -> bool:
        return following(live) == count

    await eventually(are_following)


async def is_pinged(pings: list[Message]) -> bool:
    return bool(pings)
