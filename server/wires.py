"""uvicorn's WebSocket, to which a message that is ready to be sent can be written at once.

ASGI knows one way to send: a coroutine, through every layer, for each message and each client. For the same
message to a thousand clients that costs more than all the rest.
"""

from typing import Any

from starlette.types import Scope
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

#: Where a socket's scope has its wire; a server that knows of none leaves it out.
_EXTENSION = "handoff.wire"
_FINAL_TEXT = 0x81  # RFC 6455 section 5.2: FIN, and the opcode of text


class SocketProtocol(WebSocketsSansIOProtocol):
    """One connection."""

    async def run_asgi(self) -> None:
        """Run the application, which finds this connection in its scope."""
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[_EXTENSION] = self
        try:
            await super().run_asgi()
        finally:
            del extensions[_EXTENSION]

    @property
    def is_ready(self) -> bool:
        """Whether `write` may be called: neither side is closing, and the client keeps up.

        It does not while it has yet to take more than the transport's high water mark (64 KB) of what was
        written before.
        """
        return self.writable.is_set() and not self.close_sent and not self.transport.is_closing()

    def write(self, frames: bytes) -> None:
        """Write whole frames, without waiting."""
        self.transport.write(frames)


def wire_of(scope: Scope) -> SocketProtocol | None:
    """Return the connection of a socket, None where another server accepted it."""
    wire = scope.get("extensions", {}).get(_EXTENSION)
    return wire if isinstance(wire, SocketProtocol) else None


def text_frame(*parts: bytes) -> bytes:
    """Return a text message as a server sends it: in one frame, not masked (RFC 6455 section 5.2)."""
    length = sum(map(len, parts))
    if length < 126:
        header = bytes((_FINAL_TEXT, length))
    elif length < 1 << 16:
        header = bytes((_FINAL_TEXT, 126)) + length.to_bytes(2)
    else:
        header = bytes((_FINAL_TEXT, 127)) + length.to_bytes(8)
    return b"".join((header, *parts))
