"""A raw graphql-transport-ws client, and the documents that tests send through it."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from tests.patience import PATIENCE

PROTOCOL = "graphql-transport-ws"
Message = dict[str, Any]

ESCALATIONS = """
subscription ($teamId: ID, $after: String) { escalationCreated(teamId: $teamId, after: $after) {
  cursor missedBefore round handoff { id state intent session { id } }
} }
"""
QUEUE_CHANGES = """
subscription ($teamId: ID, $after: String) { queueChanged(teamId: $teamId, after: $after) {
  cursor missedBefore kind handoff { id state session { id problemSummary } }
} }
"""


#: How far a server's clock is ahead whose sockets are to end two seconds after they began, with their tokens.
ALMOST_AN_HOUR = timedelta(minutes=59, seconds=58)


class SocketClosed(AssertionError):  # noqa: N818  # an end, not a fault
    """The server has closed the socket on which something was expected."""


class Operation:
    """One operation of a socket, and what came for it."""

    def __init__(self, socket: "Socket", operation_id: str) -> None:
        self.id = operation_id
        self.arrived: asyncio.Queue[Message | None] = asyncio.Queue()
        self._socket = socket

    async def next_message(self, *, within: float = PATIENCE) -> Message:
        """Wait for the next message of this operation: `next`, `error` or `complete`."""
        return await self._socket.wait_for(self.arrived, within)

    async def next_event(self, *, within: float = PATIENCE) -> Any:  # noqa: ANN401 (whatever the field holds)
        """Wait for the value of the one root field, in a `next` without errors."""
        message = await self.next_message(within=within)
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        (value,) = message["payload"]["data"].values()
        return value

    async def next_events(self, count: int) -> list[Any]:
        """Wait for that many events."""
        return [await self.next_event() for _ in range(count)]

    async def refusal(self) -> str:
        """Wait for the operation's end and return its code; nothing else may come before."""
        message = await self.next_message()
        if message["type"] == "next":
            errors = message["payload"]["errors"]
            assert message["payload"]["data"] is None, message
            assert await self.next_message() == {"id": self.id, "type": "complete"}
        else:
            assert message["type"] == "error", message
            errors = message["payload"]
        (error,) = errors
        code: str = error["extensions"]["code"]
        return code

    async def complete(self) -> None:
        """Ask the server to end the operation."""
        await self._socket.send({"id": self.id, "type": "complete"})


class Socket:
    """An open WebSocket. One task reads it, answers the protocol's pings and sorts by operation."""

    def __init__(self, connection: ClientConnection, *, answers_pings: bool) -> None:
        self.connection = connection
        self.frame_types: set[type] = set()  #: str for text frames, bytes for binary ones
        self.pings: list[Message] = []
        self._answers_pings = answers_pings
        self._ids = itertools.count(1)
        self._operations: dict[str, Operation] = {}
        self._others: asyncio.Queue[Message | None] = asyncio.Queue()
        self._reader = asyncio.create_task(self._read())

    async def send(self, message: Message | str) -> None:
        """Send a message, or a text as it stands."""
        await self.connection.send(message if isinstance(message, str) else json.dumps(message))

    async def init(self, token: str | None = None) -> None:
        """Send `connection_init` and wait until it is acknowledged."""
        await self.begin(token)
        acknowledged = await self.next_message()
        assert acknowledged["type"] == "connection_ack", acknowledged

    async def begin(self, token: str | None = None) -> None:
        """Send `connection_init`, with a token if one is given, and wait for nothing."""
        payload = {} if token is None else {"payload": {"Authorization": f"Bearer {token}"}}
        await self.send({"type": "connection_init", **payload})

    async def subscribe(
        self, document: str, *, operation_id: str | None = None, **variables: object
    ) -> Operation:
        """Begin an operation of any kind."""
        return await self.ask({"query": document, "variables": variables}, operation_id=operation_id)

    async def ask(self, payload: Message, *, operation_id: str | None = None) -> Operation:
        """Begin an operation with a payload as it stands."""
        operation = Operation(self, operation_id or str(next(self._ids)))
        self._operations[operation.id] = operation
        await self.send({"id": operation.id, "type": "subscribe", "payload": payload})
        return operation

    async def next_message(self, *, within: float = PATIENCE) -> Message:
        """Wait for the next message that belongs to no operation and is no ping."""
        return await self.wait_for(self._others, within)

    async def close_code(self, *, within: float = PATIENCE) -> int | None:
        """Wait until the server has closed the socket, and return the code."""
        async with asyncio.timeout(within):
            await self.connection.wait_closed()
        return self.connection.close_code

    def drop(self) -> None:
        """Vanish without a word, as a machine that loses its network."""
        self.connection.transport.abort()

    async def wait_for(self, queue: "asyncio.Queue[Message | None]", within: float) -> Message:
        """Wait for a message of a queue; a socket that closes meanwhile fails the test at once."""
        async with asyncio.timeout(within):
            message = await queue.get()
        if message is None:
            raise SocketClosed(f"closed with {self.connection.close_code}")
        return message

    async def end(self) -> None:
        """Close the socket and wait until nothing is left of it."""
        await self.connection.close()
        await self._reader

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for frame in self.connection:
                self.frame_types.add(type(frame))
                await self._sort(json.loads(frame))
        for queue in [self._others, *(operation.arrived for operation in self._operations.values())]:
            queue.put_nowait(None)

    async def _sort(self, message: Message) -> None:
        if message["type"] == "ping":
            self.pings.append(message)
            if self._answers_pings:
                await self.send(message | {"type": "pong"})
        elif "id" in message:
            self._operations[message["id"]].arrived.put_nowait(message)
        else:
            self._others.put_nowait(message)


@asynccontextmanager
async def open_socket(
    url: str,
    *,
    protocols: Sequence[str] = (PROTOCOL,),
    origin: str | None = None,
    answers_pings: bool = True,
) -> AsyncIterator[Socket]:
    """Open a socket while the block runs. No `connection_init` is sent."""
    async with connect(
        url,
        subprotocols=[Subprotocol(protocol) for protocol in protocols] or None,
        origin=None if origin is None else Origin(origin),
        compression=None,
        ping_interval=None,
        open_timeout=PATIENCE,
        close_timeout=PATIENCE,
        proxy=None,
    ) as connection:
        socket = Socket(connection, answers_pings=answers_pings)
        try:
            yield socket
        finally:
            await socket.end()


async def eventually(holds: Callable[[], Awaitable[bool]], *, within: float = PATIENCE) -> None:
    """Wait until a thing holds that tells nobody when it does: rows, other processes."""
    async with asyncio.timeout(within):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.005)
