"""A server that does nothing: the same bytes for every request. It shows what the load can ask for."""

import asyncio
import os
from typing import cast

import uvloop

_MARK = b'"edges":[{'
_BYTES_EACH = 650  #: of one handoff in an answer


class Echo(asyncio.Protocol):
    """A connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own, which is no subclass

    def data_received(self, data: bytes) -> None:
        """Answer; a request comes in one piece."""
        self._transport.write(_HUNDRED if b'"first":100' in data else _TWENTY)


def _answer(handoffs: int) -> bytes:
    body = _MARK + b"x" * (_BYTES_EACH * handoffs)
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


_HUNDRED, _TWENTY = _answer(100), _answer(20)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", int(os.environ["PORT"]))
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
