"""A node's way to its database, which can be cut while others still reach the database."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy.engine import make_url

from db.session import Database
from tests.servers.postgres_wire import connect_to


class Way(ABC):
    """From a node to its database."""

    url: str  #: the database's address, as the node has it

    @property
    @abstractmethod
    def url_of_others(self) -> str:
        """The same database's address for others, who reach it now."""

    @abstractmethod
    async def cut(self, database: Database) -> None:
        """Cut it, while the node's connections are `unused`: they end, and it can open none."""

    @abstractmethod
    async def mend(self) -> None:
        """Let it be as it was."""

    @abstractmethod
    async def end(self) -> None:
        """Leave nothing behind."""


class WayToServer(Way):
    """To PostgreSQL, through a socket of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        self._address = make_url(url)
        shown = self._address.set(host=None, port=None, query={"host": str(folder)})
        self.url = shown.render_as_string(hide_password=False)
        self._socket = folder / ".s.PGSQL.5432"
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()

    @property
    def url_of_others(self) -> str:
        """The server's own."""
        return self._address.render_as_string(hide_password=False)

    async def cut(self, _: Database) -> None:
        """End what is open, and take the socket away."""
        await self.end()
        self._socket.unlink()

    async def end(self) -> None:
        """End what is open, and listen no more."""
        assert self._server is not None
        self._server.close()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def mend(self) -> None:
        """Listen."""
        self._server = await asyncio.start_unix_server(self._serve, self._socket)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        from_server, to_server = await connect_to(self._address)
        try:
            await asyncio.gather(_pass_on(reader, to_server), _pass_on(from_server, writer))
        except (asyncio.CancelledError, ConnectionError):
            pass  # cut
        finally:
            writer.transport.abort()
            to_server.transport.abort()
            self._passing.discard(task)


class WayToFile(Way):
    """To SQLite's file, in a folder that can be taken away, as one that was mounted."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._file = Path(make_url(url).database or "")
        self._here = self._file.parent
        self._elsewhere = self._here.with_name(f"{self._here.name}-elsewhere")

    @property
    def url_of_others(self) -> str:
        """Of the file where it is."""
        return f"sqlite:///{(self._elsewhere if self._elsewhere.exists() else self._here) / self._file.name}"

    async def cut(self, database: Database) -> None:
        """Close what was opened in the folder, and take it away."""
        await database.dispose()
        self._here.rename(self._elsewhere)

    async def mend(self) -> None:
        """Put the folder where it was."""
        if self._elsewhere.exists():
            self._elsewhere.rename(self._here)

    async def end(self) -> None:
        """Leave the folder where it was."""
        await self.mend()


@asynccontextmanager
async def way_to(url: str) -> AsyncIterator[Way]:
    """Let a database be reached on a way that can be cut, while the block runs."""
    async with AsyncExitStack() as stack:
        way: Way
        if url.startswith("sqlite"):
            way = WayToFile(url)
        else:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="handoff-way-")))
            way = WayToServer(url, folder)
        await way.mend()
        stack.push_async_callback(way.end)
        yield way


@asynccontextmanager
async def unused(database: Database) -> AsyncIterator[None]:
    """Let whoever wants to use a connection of an account wait, while the block runs."""
    async with AsyncExitStack() as stack:
        for pool in (database._writer, database._reader):
            size = pool.engine.pool.size()  # type: ignore[attr-defined]  # every pool but NullPool has it
            for _ in range(size):
                await pool.take_turn()
                stack.callback(pool.end_turn)
        yield


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    target.close()
