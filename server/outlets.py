"""The outlet of an operation that runs on a socket."""

from typing import TYPE_CHECKING

import orjson
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import Operation

from db.pushes import Push
from schema.context import Context
from schema.outlets import Outlet
from server.wires import text_frame

if TYPE_CHECKING:
    from server.sockets import SocketHandler


class SocketOutlet(Outlet):
    """Writes what was executed for many as a message of this operation."""

    __slots__ = ("_handler", "_start", "_wire")

    def __init__(self, handler: "SocketHandler", operation: Operation[Context, None]) -> None:
        super().__init__()
        self._handler = handler
        self._start = b'{"id":%b,"type":"next","payload":' % orjson.dumps(operation.id)
        self._wire = handler.websocket.wire

    @property
    def is_direct(self) -> bool:
        """Whether the server is one that `write` can reach through."""
        return self._wire is not None

    def write(self, payload: bytes, push: Push | None) -> bool:
        """Write an event as a `next` message, and with it the ping that asks for its receipt."""
        transport = None if self._wire is None else self._wire.ready_transport()
        if transport is None:
            return False
        frames = text_frame(self._start, payload, b"}")
        if push is not None:
            frames += text_frame(orjson.dumps(self._handler.receipt_ping(push)))
        transport.write(frames)
        return True
