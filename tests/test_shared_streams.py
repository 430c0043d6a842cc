"""Equal subscriptions share one execution of an event, and each is shown what it would see alone."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import graphql
import pytest
from graphql import ExecutionResult

from db.users import UserRow
from schema.streams import Streams, _Operation, _variables_in
from tests.cast import Cast
from tests.live import Live, running_server
from tests.sockets import QUEUE_CHANGES, Operation

MINE = """
subscription ($after: String) { escalationCreated(after: $after) {
  handoff { id myNotice { told deliveries { channel recipient { name } } } }
} }
"""
CHOSEN = """
subscription ($after: String, $withNotes: Boolean!) { queueChanged(after: $after) {
  kind handoff { state notes @include(if: $withNotes) }
} }
"""
EVERYTHING = """
subscription ($after: String) { queueChanged(after: $after) {
  cursor missedBefore kind
  handoff {
    id intent priority state notes createdAt claimedAt
    claimedBy { name online } handedOffBy { name role } sourceBranch { label }
    snapshot { problemSummary status branches { label } }
    session { id status messages { totalCount edges { node { content } } } branches { label } owner { name } }
    timeline { sequence kind summary actor { name } }
  }
} }
"""


async def test_an_event_is_executed_once_for_all_who_ask_the_same(live: Live) -> None:
    cast = live.cast
    async with AsyncExitStack() as stack:
        streams = [await subscribe(stack, live, user, QUEUE_CHANGES) for user in everybody(cast)]
        handoff_id = await live.escalate_new()

        events = [await stream.next_event() for stream in streams]

    assert events == [events[0]] * len(streams)
    assert events[0]["handoff"]["id"] == handoff_id
    assert len(shared(live)._results) == 1


async def test_each_is_shown_what_it_would_see_without_sharing(database_url: str, cast: Cast) -> None:
    async def seen(live: Live) -> list[list[Any]]:
        async with AsyncExitStack() as stack:
            streams = [await subscribe(stack, live, user, EVERYTHING) for user in everybody(cast)]
            handoff_id = await live.escalate_new()
            await live.claim(cast.bob, handoff_id)
            await live.release(cast.bob, handoff_id, "not mine")
            return [await stream.next_events(3) for stream in streams]

    async with running_server(database_url, cast) as live:
        together = await seen(live)
        after = await live.cursor()
    async with running_server(database_url, cast, shared_streams=False) as live:
        assert live.node.services.streams is None
        async with live.dashboard(cast.vera) as socket:
            again = await socket.subscribe(EVERYTHING, after=str(int(after) - 3))
            alone = await again.next_events(3)

    # What happened since is in the handoff as it is now; what each event says by itself is equal.
    assert [[event["kind"] for event in events] for events in together] == [
        ["ADDED", "CLAIMED", "RELEASED"]
    ] * len(together)
    assert together == [together[0]] * len(together)
    assert together[0][-1] == alone[-1]


async def test_what_depends_on_the_viewer_is_each_viewer_s_own(live: Live) -> None:
    cast = live.cast
    async with AsyncExitStack() as stack:
        streams = [await subscribe(stack, live, user, MINE) for user in (cast.bob, cast.olivia)]
        await live.escalate_new()

        events = [await stream.next_event() for stream in streams]

    named = [
        {one["recipient"]["name"] for one in event["handoff"]["myNotice"]["deliveries"]} for event in events
    ]
    assert named == [{"Bob"}, {"Olivia"}]


async def test_a_variable_that_selects_keeps_subscriptions_apart(live: Live) -> None:
    cast = live.cast
    async with AsyncExitStack() as stack:
        plain, noted = [
            await subscribe(stack, live, cast.vera, CHOSEN, withNotes=chosen) for chosen in (False, True)
        ]
        session = await cast.start_session()
        await live.escalate(cast.alice, session.id, notes="Look at the log")

        assert await plain.next_event() == {"kind": "ADDED", "handoff": {"state": "OPEN"}}
        expected = {"state": "OPEN", "notes": "Look at the log"}
        assert await noted.next_event() == {"kind": "ADDED", "handoff": expected}


async def test_another_account_shares_nothing(live: Live) -> None:
    cast = live.cast
    async with AsyncExitStack() as stack:
        ours = await subscribe(stack, live, cast.vera, QUEUE_CHANGES)
        theirs = await subscribe(stack, live, cast.charlie, QUEUE_CHANGES, after=None)
        mine = await live.escalate_new()
        assert (await ours.next_event())["handoff"]["id"] == mine

        session = await cast.start_session(owner=cast.charlie)
        other = await live.escalate(cast.charlie, session.id)

        assert (await theirs.next_event())["handoff"]["id"] == other


async def test_what_could_not_be_executed_for_want_of_a_database_is_not_handed_on() -> None:
    streams, document = Streams(), graphql.parse("subscription { a }")
    operation = _Operation(document.definitions[0], ())  # type: ignore[arg-type]  # it is one
    away = graphql.GraphQLError("away", original_error=ConnectionRefusedError())
    results = [ExecutionResult(None, [away]), ExecutionResult({"a": 1}, None)]

    async def execute() -> ExecutionResult:
        return results.pop(0)

    async def ask() -> ExecutionResult:
        return await streams.once("key", operation, execute)

    together = await asyncio.gather(ask(), ask())

    assert [result.errors for result in together] == [[away], [away]]
    assert [(await ask()).data, (await ask()).data] == [{"a": 1}, {"a": 1}]


async def test_who_leaves_takes_nothing_from_the_others() -> None:
    streams, going_on = Streams(), asyncio.Event()
    document = graphql.parse("subscription { a }")
    operation = _Operation(document.definitions[0], ())  # type: ignore[arg-type]  # it is one

    async def execute() -> ExecutionResult:
        await going_on.wait()
        return ExecutionResult({"a": 1}, None)

    waiting = [asyncio.create_task(streams.once("key", operation, execute)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    going_on.set()

    results = await asyncio.gather(*waiting, return_exceptions=True)

    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1] is results[2]
    assert results[2] == ExecutionResult({"a": 1}, None)


async def test_what_is_held_is_bounded() -> None:
    streams = Streams()
    operation = _Operation(graphql.parse("subscription { a }").definitions[0], ())  # type: ignore[arg-type]

    async def execute() -> ExecutionResult:
        return ExecutionResult({}, None)

    for number in range(400):
        await streams.once(number, operation, execute)

    assert len(streams._results) == 256


@pytest.mark.parametrize(
    ("document", "variables"),
    [
        ("subscription ($a: String) { queueChanged(after: $a) { kind } }", ()),
        ("subscription ($a: Boolean!) { queueChanged @include(if: $a) { kind } }", ("a",)),
        (
            "subscription ($a: Int) { queueChanged { handoff { deliveries(first: $a) { totalCount } } } }",
            ("a",),
        ),
        (
            """subscription ($a: Boolean!) { queueChanged { handoff { ...F } } }
            fragment F on Handoff { id notes @skip(if: $a) }""",
            ("a",),
        ),
        ("subscription ($a: String) { ... on Subscription { queueChanged(after: $a) { kind } } }", ("a",)),
    ],
)
def test_only_variables_on_which_the_answer_depends_count(document: str, variables: tuple[str, ...]) -> None:
    operation, *fragments = graphql.parse(document).definitions
    named = {one.name.value: one for one in fragments}  # type: ignore[attr-defined]  # fragments have names

    assert _variables_in(operation, named) == variables  # type: ignore[arg-type]  # the first one is it


async def subscribe(
    stack: AsyncExitStack,
    live: Live,
    user: UserRow,
    document: str,
    **variables: Any,  # noqa: ANN401
) -> Operation:
    """Open a dashboard that follows all that happens from now on."""
    socket = await stack.enter_async_context(live.dashboard(user))
    return await socket.subscribe(document, **({"after": await live.cursor()} | variables))


def everybody(cast: Cast) -> list[UserRow]:
    return [cast.vera, cast.bob, cast.olivia, cast.adam]


def shared(live: Live) -> Streams:
    streams = live.node.services.streams
    assert streams is not None
    return streams
