"""Frames that no client of graphql-transport-ws sends: each closes its socket with 4400, and harms no other.

Source: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

import json
from typing import Any

import pytest

from server.frames import LONGEST_ID
from tests.feeds import faults
from tests.live import Live
from tests.sockets import ESCALATIONS, open_socket

ME = "{ me { name } }"


def subscribe(**changed: Any) -> dict[str, Any]:  # noqa: ANN401 (anything JSON)
    """Return a `subscribe` message with parts of its own; a part that is given as ... is left out."""
    message = {"id": "1", "type": "subscribe", "payload": {"query": ME}} | changed
    return {name: part for name, part in message.items() if part is not ...}


def asking(**more: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a `subscribe` message whose payload holds more, or something else, than a query."""
    return subscribe(payload={"query": ME} | more)


#: Frames that no client of the protocol sends, as they stand.
RAW: dict[str, str | bytes] = {
    "nothing": "",
    "no JSON": "hello",
    "half a message": '{"type": "ping"',
    "two messages": '{"type": "ping"} {"type": "ping"}',
    "binary": b'{"type": "ping"}',
    "binary rubbish": b"\x00\xff",
    "NaN": "NaN",
    "lone surrogate": '{"type": "ping", "payload": {"a": "\\ud800"}}',
    "integer of 5000 digits": '{"type": "ping", "payload": {"a": ' + "9" * 5000 + "}}",
    "nested arrays": "[" * 100_000,
    "nested objects": '{"a":' * 100_000,
    "nested payload": '{"type": "ping", "payload": ' + '{"a":' * 5000 + "1" + "}" * 5001,
}
#: Messages that no client of the protocol sends.
MESSAGES: dict[str, object] = {
    "array": [],
    "array of messages": [{"type": "ping"}],
    "null": None,
    "number": 1,
    "boolean": True,
    "string": "ping",
    "no type": {},
    "type null": {"type": None},
    "type number": {"type": 1},
    "type object": {"type": {}},
    "type array": {"type": ["ping"]},
    "type unknown": {"type": "hello"},
    "type unknown and long": {"type": "é" * 500},
    "type of the server": {"type": "connection_ack"},
    "type next": {"id": "1", "type": "next", "payload": {}},
    "type of the older protocol": {"id": "1", "type": "start", "payload": {"query": ME}},
    "ping payload string": {"type": "ping", "payload": "x"},
    "ping payload null": {"type": "ping", "payload": None},
    "pong payload array": {"type": "pong", "payload": []},
    "init payload number": {"type": "connection_init", "payload": 1},
    "id missing": subscribe(id=...),
    "id null": subscribe(id=None),
    "id empty": subscribe(id=""),
    "id number": subscribe(id=1),
    "id object": subscribe(id={}),
    "id array": subscribe(id=["1"]),
    "id too long": subscribe(id="x" * (LONGEST_ID + 1)),
    "payload missing": subscribe(payload=...),
    "payload null": subscribe(payload=None),
    "payload string": subscribe(payload=ME),
    "payload array": subscribe(payload=[{"query": ME}]),
    "query missing": subscribe(payload={}),
    "query null": asking(query=None),
    "query number": asking(query=1),
    "query object": asking(query={}),
    "variables array": asking(variables=[]),
    "variables string": asking(variables="{}"),
    "variables number": asking(variables=0),
    "operationName number": asking(operationName=1),
    "operationName object": asking(operationName={}),
    "extensions string": asking(extensions="x"),
    "extensions array": asking(extensions=[]),
    "complete without id": {"type": "complete"},
    "complete with a number": {"type": "complete", "id": 1},
    "complete with an object": {"type": "complete", "id": {}},
}
MALFORMED = RAW | {name: json.dumps(message) for name, message in MESSAGES.items()}


@pytest.fixture
def engine() -> str:
    """The engine has no part in this."""
    return "sqlite"


async def test_every_malformed_frame_closes_its_socket_with_4400_and_says_nothing_in_the_log(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    closed = {}
    for name, frame in MALFORMED.items():
        async with live.dashboard(live.cast.bob) as socket:
            await socket.connection.send(frame)

            closed[name] = (await socket.close_code(), bool(socket.connection.close_reason))

    assert closed == dict.fromkeys(MALFORMED, (4400, True))
    assert faults(caplog) == []


async def test_a_malformed_frame_before_the_init_closes_the_socket_with_4400(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    for frame in ("null", '{"type": "subscribe"}', "[" * 10_000):
        async with open_socket(live.socket_url) as socket:
            await socket.send(frame)

            assert await socket.close_code() == 4400

    assert faults(caplog) == []


async def test_a_malformed_frame_ends_the_operations_of_its_socket_and_no_others(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    cast = live.cast
    async with live.dashboard(cast.bob) as broken, live.dashboard(cast.adam) as other:
        await broken.subscribe(ESCALATIONS)
        pushed = await other.subscribe(ESCALATIONS, after=await live.cursor())
        await live.until_online(cast.bob, cast.adam)

        await broken.send("{")

        assert await broken.close_code() == 4400
        await live.until_online(cast.adam)
        handoff_id = await live.escalate_new()
        assert (await pushed.next_event())["handoff"]["id"] == handoff_id
    assert faults(caplog) == []
