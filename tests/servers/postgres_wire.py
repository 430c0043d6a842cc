"""A relay between clients and a PostgreSQL server that counts what passes.

Counted on the wire, not in a driver: whatever asks the server is seen, also what a pool or a library adds.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from struct import unpack_from
from tempfile import TemporaryDirectory

from sqlalchemy.engine import URL, make_url

#: The version that a client asks for in its first message, when it does not ask for encryption instead.
PROTOCOL = 3 << 16
#: Messages after which a client waits for the server: a simple query, the end of an extended one, a flush.
WAITS = b"QSH"


@dataclass(slots=True)
class Traffic:
    """What clients have sent since the last `clear`."""

    round_trips: int = 0  #: how often a client waited for the server
    statements: list[str] = field(default_factory=list)  #: those that were run, in order

    def clear(self) -> None:
        """Begin anew."""
        self.round_trips = 0
        self.statements = []


@dataclass(slots=True)
class _Client:
    """One connection, as far as its messages must be understood.

    Source: PostgreSQL manual, chapter 55.7, message formats.
    """

    traffic: Traffic
    buffer: bytearray = field(default_factory=bytearray)
    has_started: bool = False
    prepared: dict[bytes, str] = field(default_factory=dict)  #: statements by name
    portals: dict[bytes, str] = field(default_factory=dict)  #: statements by the name of their portal

    def feed(self, data: bytes) -> None:
        self.buffer += data
        while message := self._next():
            self._see(*message)

    def _next(self) -> tuple[bytes, bytes] | None:
        """Take one whole message off the buffer: its kind, none for the first one, and its body."""
        kind = 1 if self.has_started else 0
        if len(self.buffer) < kind + 4:
            return None
        end = kind + unpack_from("!I", self.buffer, kind)[0]
        if len(self.buffer) < end:
            return None
        message = bytes(self.buffer[:kind]), bytes(self.buffer[kind + 4 : end])
        del self.buffer[:end]
        return message

    def _see(self, kind: bytes, body: bytes) -> None:
        if not kind:
            self.has_started = unpack_from("!I", body)[0] == PROTOCOL
            return
        first, _, rest = body.partition(b"\0")
        second = rest.partition(b"\0")[0]
        match kind:
            case b"Q":
                self.traffic.statements += [part for part in first.decode().split(";") if part]
            case b"P":
                self.prepared[first] = second.decode()
            case b"B":
                self.portals[first] = self.prepared[second]
            case b"E":
                self.traffic.statements.append(self.portals[first])
        self.traffic.round_trips += kind in WAITS


@asynccontextmanager
async def watching(database_url: str) -> AsyncIterator[tuple[str, Traffic]]:
    """Relay to a database; give the address to use instead, and what passes."""
    address = make_url(database_url)
    traffic = Traffic()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        client = _Client(traffic)
        from_server, to_server = await connect_to(address)
        await asyncio.gather(
            _pass_on(reader, to_server, client), _pass_on(from_server, writer), return_exceptions=True
        )
        tasks.discard(task)

    with TemporaryDirectory(prefix="handoff-wire-") as folder:
        server = await asyncio.start_unix_server(serve, Path(folder) / ".s.PGSQL.5432")
        shown = address.set(host=None, port=None, query={"host": folder})
        try:
            yield shown.render_as_string(hide_password=False), traffic
        finally:
            server.close()
            await asyncio.wait(tasks, timeout=10) if tasks else None


async def connect_to(address: URL) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the server of a database."""
    host = address.host or str(address.query["host"])
    port = address.port or 5432
    if host.startswith("/"):
        return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
    return await asyncio.open_connection(host, port)


async def _pass_on(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, client: _Client | None = None
) -> None:
    while data := await source.read(1 << 16):
        if client is not None:
            client.feed(data)
        target.write(data)
        await target.drain()
    target.close()
