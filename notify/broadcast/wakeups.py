"""Announces news of accounts to all nodes, and hears what was announced.

How the defects of broadcaster 0.3.1 are kept from mattering:

- Two first subscribers of a channel at once overwrite each other's queue: a node subscribes once, before it
  connects, and hands what it hears to its own listeners.
- The queue of a subscriber is unbounded: it is emptied at once into one entry per account and listener. In a
  turn of the event loop broadcaster can move no more into it than the bounded inbox of a backend holds.
- An error in `next_published` ends its listening for good, and `disconnect` then fails: ours never raises.
- An error in `subscribe` is hidden by a KeyError: ours never raises, since it does not talk to the server.
- `disconnect` wakes nobody: `stop` ends the listeners itself.
- A loss is not noticed: after each connect and each overflow the listeners must compare everything.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

from broadcaster import Broadcast, Event

from db.events import EventRow
from notify.broadcast.backend import DEFAULT_TIMING, InboxBackend, Timing, end_task
from notify.broadcast.latest import EVERYTHING, Latest, Wakeup
from notify.broadcast.memory import MemoryBackend
from notify.broadcast.postgres import PostgresBackend
from notify.broadcast.redis import RedisBackend

logger = logging.getLogger(__name__)

CHANNEL = "handoff-events"
STOP_SECONDS = 2.0  #: How long it may take to give up the connections.


class Wakeups:
    """A node's part in the broadcast; it is started and stopped once.

    It is about speed only: what is announced may not arrive, and what arrives may be old. A listener reads
    the database to learn what happened.
    """

    def __init__(self, url: str, *, timing: Timing = DEFAULT_TIMING) -> None:
        """Choose the backend by the scheme of its address, without connecting.

        Args:
            url: `memory://`, `postgresql://`, `postgres://`, `postgresql+asyncpg://`, `redis://`, `rediss://`,
                `unix://` or `valkey://`.
            timing: How long to wait.

        Raises:
            ValueError: The scheme is not one of these, or the address cannot be read.
        """
        self._backend = _make_backend(url, timing)
        self._broadcast = Broadcast(backend=self._backend)
        self._timing = timing
        self._outgoing = Latest()
        self._listeners: set[Latest] = set()
        self._held = AsyncExitStack()
        self._publisher: asyncio.Task[None] | None = None
        self._started = False
        self._stopped = False

    @property
    def connected(self) -> bool:
        """Whether announcements arrive here, as far as is known."""
        return self._backend.connected

    @property
    def backlog(self) -> int:
        """The number of accounts with an announcement that was not sent yet."""
        return len(self._outgoing)

    async def start(self) -> None:
        """Begin to connect, and return at once, also when the server is away.

        Raises:
            RuntimeError: It was started or stopped before.
        """
        if self._started or self._stopped:
            raise RuntimeError("Wakeups are started once.")
        self._started = True
        subscriber = await self._held.enter_async_context(self._broadcast.subscribe(CHANNEL))
        await self._broadcast.connect()
        self._held.push_async_callback(self._broadcast.disconnect)
        self._run(self._hear(subscriber.get), "wakeups hear")
        self._publisher = self._run(self._publish_announced(), "wakeups publish")

    async def stop(self) -> None:
        """End the listeners, give what was announced a moment to leave, and give up all connections.

        Takes at most `timing.answer_seconds` and STOP_SECONDS, whatever the server does.
        """
        self._stopped = True
        for listener in self._listeners:
            listener.abandon()
        self._outgoing.finish()
        if self._publisher is not None:
            await asyncio.wait([self._publisher], timeout=self._timing.answer_seconds)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._held.aclose()
        except TimeoutError:
            logger.warning("Broadcast connections not given up in time")

    def announce(self, account_id: uuid.UUID, sequence: int) -> None:
        """Tell all nodes, this one too, that an account has events up to this number.

        Call it after the commit; it returns at once. While the server is away, the highest number of each
        account waits here.
        """
        self._outgoing.add(Wakeup(account_id, sequence))

    def announce_commit(self, committed: Sequence[EventRow]) -> None:
        """Announce what a transaction has stored, as `Database.on_commit` hears it."""
        latest = committed[-1]
        self.announce(latest.account_id, latest.sequence)

    async def listen(self) -> AsyncGenerator[Wakeup, None]:
        """Follow the announcements of all nodes until `stop`, whatever happens to the connection.

        The first wake-up is always to compare everything, since listening begins now and not when the caller
        last looked. A late reader gets the highest sequence of each account only.
        """
        heard = Latest()
        heard.add(EVERYTHING)
        if self._stopped:
            heard.abandon()
        self._listeners.add(heard)
        try:
            while (wakeup := await heard.take()) is not None:
                yield wakeup
        finally:
            self._listeners.discard(heard)

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._held.push_async_callback(end_task, task)
        return task

    async def _hear(self, next_event: Callable[[], Awaitable[Event]]) -> None:
        while True:
            message = (await next_event()).message
            try:
                wakeup = Wakeup.from_message(message)
            except ValueError as error:
                logger.warning(
                    "Malformed wake-up ignored", extra={"start": message[:80], "error": str(error)}
                )
                continue
            for listener in self._listeners:
                listener.add(wakeup)

    async def _publish_announced(self) -> None:
        while (wakeup := await self._outgoing.take()) is not None:
            # Each attempt at a server that is away would cost a timeout. Those that wait meanwhile coalesce.
            await self._backend.wait_connected()
            try:
                await self._broadcast.publish(CHANNEL, wakeup.message())
            except Exception:
                # The outermost loop: ending here would leave the other nodes without news of this one.
                logger.exception("Wake-up not published")


def _make_backend(url: str, timing: Timing) -> InboxBackend:
    scheme, separator, _ = url.partition("://")
    match scheme.lower() + separator:
        case "memory://":
            return MemoryBackend()
        case "redis://" | "rediss://" | "unix://" | "valkey://":
            return RedisBackend(url, timing)
        case "postgresql://" | "postgres://" | "postgresql+asyncpg://":
            return PostgresBackend(url, timing)
    # Without what was given: it may hold a password.
    raise ValueError(
        "The broadcast URL must begin with memory://, postgresql://, postgres://, postgresql+asyncpg://, "
        "redis://, rediss://, unix:// or valkey://."
    )
