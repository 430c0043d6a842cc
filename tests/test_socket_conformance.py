"""A socket under clients that break the protocol, lie or fall silent: each costs itself, and nobody else.

Source: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from resolvers.inputs import MAX_MESSAGE
from server import sockets
from server.frames import LONGEST_ID
from tests.cast import Cast
from tests.feeds import faults, rename_table, said
from tests.live import Live, running_server
from tests.sockets import ALMOST_AN_HOUR, ESCALATIONS, QUEUE_CHANGES, Socket, eventually, open_socket

ME = "{ me { name } }"
COUNTING = """
subscription ($after: String) { queueChanged(after: $after) {
  handoff { session { messages { totalCount } } }
} }
"""
LONG = "query ($id: ID!) { session(id: $id) { messages(first: 10) { edges { node { content } } } } }"
#: It takes a while.
WIDE = "query { " + " ".join(f"a{n}: __schema {{ types {{ name description }} }}" for n in range(4)) + " }"


@pytest.fixture
def engine() -> str:
    """The engine has no part in this."""
    return "sqlite"


@pytest.fixture
async def hasty(database_url: str, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Live]:
    """A server that waits half a second for a client to take a message."""
    monkeypatch.setattr(sockets, "SEND_SECONDS", 0.5)
    async with running_server(database_url, cast) as live:
        yield live


async def is_alive(socket: Socket) -> bool:
    """Tell whether a socket still answers."""
    asked = await socket.subscribe(ME)
    event: dict[str, str] = await asked.next_event()
    assert await asked.next_message() == {"id": asked.id, "type": "complete"}
    return event.keys() == {"name"}


async def test_an_id_of_the_greatest_length_is_used_and_found_in_use(live: Live) -> None:
    longest = "é" * LONGEST_ID
    async with live.dashboard(live.cast.bob) as socket:
        await socket.subscribe(ESCALATIONS, operation_id=longest)
        await socket.subscribe(ESCALATIONS, operation_id=longest)

        assert await socket.close_code() == 4409
        reason = socket.connection.close_reason or ""
        assert reason.startswith("Subscriber for éé")
        assert 121 <= len(reason.encode()) <= 123


async def test_completing_what_is_unknown_is_no_mistake(live: Live) -> None:
    async with live.dashboard(live.cast.bob) as socket:
        await socket.send({"type": "complete", "id": "unknown"})

        assert await is_alive(socket)


#: Documents, and what comes with them, that cannot be executed.
WRONG: list[dict[str, object]] = [
    {"query": "{ " + "me" * 500},
    {"query": ""},
    {"query": "{ __typename }", "operationName": "Other"},
    {"query": "query a { __typename } query b { __typename }"},
    {"query": "fragment f on Query { __typename }"},
    {"query": "{ me " * 1000},
    {"query": "#" * 100_000},
    {"query": "query ($id: ID!) { handoff(id: $id) { id } }"},
    {"query": "query ($id: ID!) { handoff(id: $id) { id } }", "variables": {"id": {"a": [None]}}},
    {"query": "subscription { escalationCreated { cursor } queueChanged { cursor } }"},
    {"query": "subscription { escalationCreated }"},
]


async def test_a_document_that_is_wrong_is_its_operations_error_and_leaves_the_siblings_alive(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    async with live.dashboard(live.cast.bob) as socket:
        sibling = await socket.subscribe(QUEUE_CHANGES, after=await live.cursor())
        wrong = await socket.subscribe("{", operation_id="wrong")
        assert await wrong.refusal() == "BAD_USER_INPUT"

        for payload in WRONG:
            await socket.send({"id": "wrong", "type": "subscribe", "payload": payload})

            assert await wrong.refusal() == "BAD_USER_INPUT", payload

        handoff_id = await live.escalate_new()
        assert (await sibling.next_event())["handoff"]["id"] == handoff_id
    assert faults(caplog) == []


@pytest.mark.parametrize("payload", [{}, {"a": {"b": [1, None, "é"]}}])
async def test_a_pong_echoes_the_payload_of_its_ping(live: Live, payload: dict[str, object]) -> None:
    async with live.dashboard(live.cast.bob) as socket:
        await socket.send({"type": "ping", "payload": payload})

        assert await socket.next_message() == {"type": "pong", "payload": payload}


async def test_a_ping_is_answered_before_the_init_too(live: Live) -> None:
    async with open_socket(live.socket_url) as socket:
        await socket.send({"type": "ping"})

        assert await socket.next_message() == {"type": "pong"}


@pytest.mark.parametrize("payload", [{}, {"receipt": 1}, {"receipt": "made up"}, {"a": "b"}])
async def test_a_pong_that_nobody_asked_for_is_ignored(live: Live, payload: dict[str, object]) -> None:
    async with live.dashboard(live.cast.bob) as socket:
        await socket.send({"type": "pong", "payload": payload})

        assert await is_alive(socket)


async def test_a_message_that_is_too_long_closes_its_socket_with_1009(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    async with live.dashboard(live.cast.bob) as socket, live.dashboard(live.cast.adam) as other:
        await socket.send({"type": "ping", "payload": {"a": "x" * 1024 * 1024}})

        assert await socket.close_code() == 1009
        assert await is_alive(other)
    assert faults(caplog) == []


async def test_the_operations_of_a_socket_are_bounded(
    live: Live, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sockets, "MOST_OPERATIONS", 3)
    async with live.dashboard(live.cast.bob) as socket:
        first, *_ = [await socket.subscribe(QUEUE_CHANGES) for _ in range(3)]

        refused = await socket.subscribe(QUEUE_CHANGES)

        assert await refused.refusal() == "RATE_LIMITED"
        await first.complete()
        assert await is_alive(socket)
    assert faults(caplog) == []


async def test_a_user_who_opens_too_many_sockets_is_refused_with_4429(
    database_url: str, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_server(database_url, cast, connect_limit="3/minute") as live:
        for _ in range(3):
            async with live.dashboard(cast.bob):
                pass
        async with open_socket(live.socket_url) as socket, live.dashboard(cast.adam) as other:
            await socket.begin(live.token(cast.bob))

            assert await socket.close_code() == 4429
            assert (socket.connection.close_reason or "").startswith("Too many at once. Try again in ")
            assert await is_alive(other)
    assert faults(caplog) == []


async def test_a_user_holds_so_many_sockets_and_gets_a_place_back_when_one_ends(
    database_url: str, cast: Cast
) -> None:
    async with running_server(database_url, cast, sockets_per_user=2) as live:
        async with live.dashboard(cast.bob) as first, live.dashboard(cast.bob):
            async with open_socket(live.socket_url) as third:
                await third.begin(live.token(cast.bob))
                assert await third.close_code() == 4429
            assert await is_alive(first)

        async with live.dashboard(cast.bob) as again:
            assert await is_alive(again)


async def test_a_fault_while_a_socket_signs_in_closes_it_with_4500_and_is_logged(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    await rename_table(live.cast.database, "users", "gone")
    async with open_socket(live.socket_url) as socket:
        await socket.begin(live.token(live.cast.bob))

        assert await socket.close_code() == 4500
        assert socket.connection.close_reason == "Something went wrong on the server"
    assert faults(caplog) == ["socket not accepted"]


async def test_a_fault_in_the_middle_of_a_stream_is_its_end_alone_and_is_masked(
    database_url: str, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        running_server(database_url, cast, recheck_seconds=0.05) as live,
        live.dashboard(cast.bob) as socket,
    ):
        pushed = await socket.subscribe(ESCALATIONS, after=await live.cursor())
        await live.escalate_new()
        await pushed.next_event()

        await rename_table(cast.database, "users", "gone")

        assert await pushed.refusal() == "INTERNAL"
        await rename_table(cast.database, "gone", "users")
        assert await is_alive(socket)
    assert faults(caplog) == ["unexpected error"]


async def test_an_event_that_cannot_be_answered_is_an_error_and_the_stream_goes_on(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    async with live.dashboard(live.cast.bob) as socket:
        pushed = await socket.subscribe(COUNTING, after=await live.cursor())
        await rename_table(live.cast.database, "session_messages", "gone")
        await live.escalate_new()

        failed = await pushed.next_message()

        assert failed["type"] == "next"
        assert [error["extensions"]["code"] for error in failed["payload"]["errors"]] == ["INTERNAL"]
        await rename_table(live.cast.database, "gone", "session_messages")
        await live.escalate_new()
        assert (await pushed.next_event())["handoff"]["session"] == {"messages": {"totalCount": 0}}
    assert faults(caplog) == ["unexpected error"]


async def test_no_receipt_is_asked_for_an_event_that_could_not_be_shown(live: Live) -> None:
    async with live.dashboard(live.cast.bob) as socket:
        document = COUNTING.replace("queueChanged", "escalationCreated")
        pushed = await socket.subscribe(document, after=await live.cursor())
        await rename_table(live.cast.database, "session_messages", "gone")
        await live.escalate_new()

        assert (await pushed.next_message())["payload"]["data"] is None

        assert await is_alive(socket)  # whatever was sent after the error has come
        assert socket.pings == []


async def test_a_client_that_reads_nothing_is_cut_off_while_another_gets_everything(
    hasty: Live, caplog: pytest.LogCaptureFixture
) -> None:
    cast = hasty.cast
    async with hasty.dashboard(cast.bob) as stuck, hasty.dashboard(cast.adam) as other:
        pushed = await other.subscribe(QUEUE_CHANGES, after=await hasty.cursor())
        await stuck.subscribe(ESCALATIONS)
        await hasty.until_online(cast.bob)

        session_id = await start_long_session(hasty)
        stuck.connection.transport.pause_reading()
        await fill(stuck, session_id)

        await eventually(said(caplog, "client cut off: it reads nothing"))
        await hasty.until_online()
        handoff_id = await hasty.escalate_new()
        assert (await pushed.next_event())["handoff"]["id"] == handoff_id
        assert await is_alive(other)
        stuck.drop()
    assert faults(caplog) == []


async def start_long_session(live: Live) -> str:
    """Start a session of a megabyte and return its id: long answers for little work."""
    session_id = str((await live.cast.start_session()).id)
    messages = [{"role": "USER", "content": "x" * MAX_MESSAGE}] * 10
    (
        await live.change(live.cast.alice, "appendSessionMessages", sessionId=session_id, messages=messages)
    ).only()
    return session_id


async def fill(socket: Socket, session_id: str) -> None:
    """Ask for more than the buffers between a server and a client that does not read can hold."""
    with suppress(ConnectionClosed):
        for _ in range(40):
            await socket.subscribe(LONG, id=session_id)


async def test_a_token_that_expires_while_its_socket_is_idle_closes_it_with_4403(
    database_url: str, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        running_server(database_url, cast, ahead=ALMOST_AN_HOUR) as live,
        live.dashboard(cast.bob) as socket,
    ):
        assert await socket.close_code() == 4403
        assert socket.connection.close_reason == "Your token has expired"
    assert faults(caplog) == []


async def test_sockets_that_vanish_amid_their_operations_say_nothing_in_the_log(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    async def vanish(turns: int) -> None:
        async with live.dashboard(live.cast.bob) as socket:
            for document in (ME, ESCALATIONS, WIDE):
                await socket.subscribe(document)
            for _ in range(turns):
                await asyncio.sleep(0)
            socket.drop()

    await asyncio.gather(*(vanish(turns) for turns in range(0, 60, 3)))

    async with live.dashboard(live.cast.adam) as socket:
        assert await is_alive(socket)
    assert faults(caplog) == []
