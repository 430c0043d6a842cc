"""The backend on PostgreSQL, by LISTEN and NOTIFY: for installations that want no second server.

Source: PostgreSQL manual, NOTIFY: a payload is shorter than 8,000 bytes.
"""

import asyncio
import contextlib
import re
from typing import ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg

from db.addresses import read_options
from notify.broadcast.backend import DEFAULT_TIMING, INBOX_LIMIT, ReconnectingBackend, Timing

POOL_SIZE = 2  #: Connections for publishing; a message occupies one for a round trip.

#: Options that asyncpg would send to the server as settings: SQLAlchemy's, and one that `Timing` says.
NOT_PASSED_ON = {"prepared_statement_cache_size", "connect_timeout"}

HOST = r"(\[[0-9a-f:.%]+\]|[^\[\]@:/?#,]*)(:[0-9]+)?"
READABLE_URL = re.compile(rf"[^:]+://([^\[\]@/?#]*@)?{HOST}(,{HOST})*([/?#].*)?", re.IGNORECASE)


class PostgresBackend(ReconnectingBackend):
    """One connection that listens, and a pool to publish.

    LISTEN belongs to a session of the server, so no PgBouncer in transaction mode may stand between.
    """

    faults: ClassVar[tuple[type[Exception], ...]] = (
        OSError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
    )

    def __init__(self, url: str, timing: Timing = DEFAULT_TIMING, inbox_limit: int = INBOX_LIMIT) -> None:
        """Read the address, without connecting.

        Args:
            url: `postgresql://`, `postgres://` or SQLAlchemy's `postgresql+asyncpg://`; `?host=/folder` names
                the folder of a socket.
            timing: How long to wait.
            inbox_limit: Messages held for a reader that is late.

        Raises:
            ValueError: The address cannot be read; the message does not repeat it.
        """
        super().__init__(timing, inbox_limit)
        self._dsn = asyncpg_dsn(url)
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def connect(self) -> None:
        """Begin to connect, and return at once: the server may be away."""
        if self._pool is None:
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=0,  # so that nothing is connected here
                max_size=POOL_SIZE,
                timeout=self.timing.connect_seconds,
                reset=_keep_session,
                server_settings={"application_name": "handoff publish"},
            )
        await super().connect()

    async def _close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()  # close() would wait for a server that may be frozen

    async def _send(self, channel: str, message: str) -> None:
        if self._pool is None:
            raise asyncpg.InterfaceError("not connected")
        async with self._pool.acquire() as connection:
            try:
                await connection.execute("SELECT pg_notify($1, $2)", channel, message)
            except BaseException:
                # A cancelled statement is still under way: giving the connection back would wait for its end.
                connection.terminate()
                raise

    async def _follow(self) -> None:
        connection = await asyncpg.connect(
            self._dsn,
            timeout=self.timing.connect_seconds,
            server_settings={"application_name": "handoff listen"},
        )
        try:
            async with asyncio.timeout(self.timing.connect_seconds):
                for channel in sorted(self.channels):
                    await connection.add_listener(channel, self._on_notification)
            await self._watch(connection)
        finally:
            connection.terminate()

    async def _watch(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Ask every idle period whether the server is there, and at once when the connection is closed."""
        closed = asyncio.Event()
        connection.add_termination_listener(lambda _: closed.set())
        self._came_up()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.timing.idle_seconds):
                    await closed.wait()
            await connection.execute("SELECT 1", timeout=self.timing.answer_seconds)

    def _on_notification(self, connection: object, pid: int, channel: str, payload: object) -> None:
        self._receive(channel, str(payload))


def asyncpg_dsn(url: str) -> str:
    """Give an address of SQLAlchemy's asyncpg dialect, or a plain one, as asyncpg reads it.

    Raises:
        ValueError: asyncpg could not read it, or an option cannot be used. The driver's own message might
            repeat a part of the password.
    """
    # A "/", "@" or "[" of a password that is not encoded makes its rest the host, which messages name.
    if not READABLE_URL.fullmatch(url):
        raise ValueError(
            "The PostgreSQL broadcast URL cannot be read: check its host and port, and that the password is "
            "percent-encoded."
        )
    parts = urlsplit(url)
    options = read_options(dict(parse_qsl(parts.query)))
    query = urlencode({name: options[name] for name in options if name not in NOT_PASSED_ON})
    return parts._replace(scheme="postgresql", query=query).geturl()


async def _keep_session(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Reset nothing when a connection is given back: publishing leaves no state to undo."""
