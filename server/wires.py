"""uvicorn's WebSocket, to which a message that is ready to be sent can be written at once.

ASGI knows one way to send: a coroutine, through every layer, for each message and each client. For the same
message to a thousand clients that costs more than all the rest.
"""

import asyncio
import logging
from functools import lru_cache
from typing import Any, cast

from starlette.types import Scope
from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

log = logging.getLogger("uvicorn.error.sockets")  # a child of uvicorn's, to be silenced alone

#: Where a socket's scope has its wire; a server that knows of none leaves it out.
_EXTENSION = "handoff.wire"
_FINAL_TEXT = 0x81  # RFC 6455 section 5.2: FIN, and the opcode of text


class Inbox:
    """What came for one reader. An `asyncio.Queue` is 3 KB, most of it for what nobody here asks."""

    __slots__ = ("_messages", "_waiter")

    def __init__(self) -> None:
        self._messages: list[ASGIReceiveEvent] = []  # short: nothing is read while one is in it
        self._waiter: asyncio.Future[None] | None = None

    def put_nowait(self, message: ASGIReceiveEvent) -> None:
        """Add a message."""
        self._messages.append(message)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def empty(self) -> bool:
        """Tell whether there is none."""
        return not self._messages

    async def get(self) -> ASGIReceiveEvent:
        """Wait for a message."""
        while not self._messages:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._messages.pop(0)


class Gate:
    """What writers wait at, as at an `asyncio.Event`, which is 700 bytes larger."""

    __slots__ = ("_waiters", "is_open")

    def __init__(self) -> None:
        self.is_open = True
        self._waiters: list[asyncio.Future[None]] = []

    def is_set(self) -> bool:
        """Tell whether nobody has to wait."""
        return self.is_open

    def clear(self) -> None:
        """Close it."""
        self.is_open = False

    def set(self) -> None:
        """Open it."""
        self.is_open = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self) -> None:
        """Wait until it is open."""
        while not self.is_open:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                self._waiters.remove(waiter)


class SocketProtocol(WebSocketsSansIOProtocol):
    """One connection."""

    #: Python's objects share the names of up to 30 attributes. With more, each has its own dict of 1.5 KB.
    __slots__ = (
        "_gate",
        "close_sent",
        "conn",
        "curr_msg_data_type",
        "frames",
        "handshake_complete",
        "queue",
        "read_paused",
        "transport",
        "writable",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (uvicorn's own arguments)
        super().__init__(*args, **kwargs)
        self.logger = log
        self.queue = cast("asyncio.Queue[ASGIReceiveEvent]", Inbox())
        self._gate = Gate()
        self.writable = cast("asyncio.Event", self._gate)

    async def send(self, message: ASGISendEvent) -> None:
        """Send a message; once the socket is accepted, forget what was said to open it."""
        await super().send(message)
        if message["type"] == "websocket.accept":
            self.request.headers.clear()
            self.response.headers.clear()
            del self.request, self.response
            cast("list[object]", self.scope["headers"]).clear()

    async def run_asgi(self) -> None:
        """Run the application, which finds this connection in its scope."""
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[_EXTENSION] = self
        try:
            await super().run_asgi()
        finally:
            del extensions[_EXTENSION]

    def ready_transport(self) -> asyncio.Transport | None:
        """Return what whole frames may be written to, without waiting; None where nothing may be.

        That is where either side is closing, and where the client does not keep up: it has yet to take more
        than the transport's high water mark (64 KB) of what was written before.
        """
        transport = self.transport
        return (
            transport if self._gate.is_open and not self.close_sent and not transport.is_closing() else None
        )


def wire_of(scope: Scope) -> SocketProtocol | None:
    """Return the connection of a socket, None where another server accepted it."""
    wire = scope.get("extensions", {}).get(_EXTENSION)
    return wire if isinstance(wire, SocketProtocol) else None


def text_frame(start: bytes, rest: bytes = b"", end: bytes = b"") -> bytes:
    """Return a text message as a server sends it: in one frame, not masked (RFC 6455 section 5.2)."""
    return b"".join((_header(len(start) + len(rest) + len(end)), start, rest, end))


@lru_cache(64)  # of what is sent to many, the lengths are few
def _header(length: int) -> bytes:
    if length < 126:
        return bytes((_FINAL_TEXT, length))
    if length < 1 << 16:
        return bytes((_FINAL_TEXT, 126)) + length.to_bytes(2)
    return bytes((_FINAL_TEXT, 127)) + length.to_bytes(8)
