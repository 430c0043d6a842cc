"""What the backends have in common: they read from an inbox, and those with a server connect anew."""

import asyncio
import logging
import random
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from broadcaster import BroadcastBackend, Event

from notify.broadcast.inbox import Inbox

logger = logging.getLogger(__name__)

INBOX_LIMIT = 10_000  #: Messages: about 2 MB, and more than arrive in one turn of the event loop.


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long a backend waits, in seconds."""

    idle_seconds: float = 5.0  #: Silence after which a connection is asked whether it lives.
    answer_seconds: float = 1.0  #: One publish, or the answer to such a question.
    connect_seconds: float = 5.0  #: One attempt to connect and to subscribe.
    backoff_seconds: float = 0.1  #: The pause after a good connection; it doubles with each failed attempt.
    backoff_cap_seconds: float = 3.0  #: The longest pause, and the age from which a connection was good.


DEFAULT_TIMING = Timing()


def backoff_seconds(failures: int, timing: Timing, fraction: float) -> float:
    """Give the pause before the next attempt: doubling, capped, between half and all of it.

    Args:
        failures: Attempts since the last good connection, from 0.
        timing: Its first pause and its cap.
        fraction: From 0 to 1, drawn anew each time, so that the nodes do not come back all at once.
    """
    doubled = timing.backoff_seconds * 2.0 ** min(failures, 30)  # a float overflows after some 1,000 attempts
    return min(doubled, timing.backoff_cap_seconds) * (0.5 + fraction / 2)


async def end_task(task: asyncio.Task[None]) -> None:
    """Cancel a task until it has ended, however it ends.

    Once may not do: `asyncio.wait_for` of Python 3.11 swallows a cancellation that comes together with its
    result, and redis-py 8.1 sends by it. Source: https://github.com/python/cpython/issues/86296.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.05)


class InboxBackend(BroadcastBackend):
    """A backend whose `next_published` never raises, since it only reads what was put into an inbox."""

    def __init__(self, inbox_limit: int = INBOX_LIMIT) -> None:
        self.channels: set[str] = set()
        self.inbox = Inbox(inbox_limit)
        self._up = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether messages on all wanted channels arrive, as far as is known."""
        return self._up.is_set()

    async def wait_connected(self) -> None:
        """Wait until `connected`, for ever if the server never comes."""
        await self._up.wait()

    async def subscribe(self, channel: str) -> None:
        """Want the messages of a channel."""
        self.channels.add(channel)

    async def unsubscribe(self, channel: str) -> None:
        """Want the messages of a channel no longer; the connection may go on carrying them."""
        self.channels.discard(channel)

    async def next_published(self) -> Event:
        """Wait for a message of a wanted channel."""
        return await self.inbox.take()

    def _receive(self, channel: str, message: str) -> None:
        if channel in self.channels:
            self.inbox.offer(channel, message)


class ReconnectingBackend(InboxBackend, ABC):
    """A backend with a server that may be away, freeze and come back at any time.

    One task holds the listening connection and makes it anew when it is lost. After each connect every wanted
    channel gets COMPARE_EVERYTHING, since messages may have been lost before.
    """

    #: What its driver raises when the server is away, frozen or restarting.
    faults: ClassVar[tuple[type[Exception], ...]] = (OSError,)

    def __init__(self, timing: Timing = DEFAULT_TIMING, inbox_limit: int = INBOX_LIMIT) -> None:
        super().__init__(inbox_limit)
        self.timing = timing
        self._keeper: asyncio.Task[None] | None = None
        self._up_at = 0.0

    async def connect(self) -> None:
        """Begin to connect, and return at once: the server may be away."""
        self._keeper = asyncio.create_task(self._keep(), name=f"{type(self).__name__} keeper")

    async def disconnect(self) -> None:
        """Give up all connections without waiting for the server."""
        await self._stop_keeping()
        await self._close()

    async def subscribe(self, channel: str) -> None:
        """Want the messages of a channel, by a connection made anew if there is one already.

        Channels come when a process starts, so this is rare and not worth a second way to subscribe.
        """
        await super().subscribe(channel)
        if self._keeper is not None:
            await self._stop_keeping()
            await self.connect()

    async def publish(self, channel: str, message: str) -> None:
        """Send a message, or log that it could not be sent in time."""
        try:
            async with asyncio.timeout(self.timing.answer_seconds):
                await self._send(channel, message)
        except self.faults as error:
            logger.warning("Wake-up not published", extra=self._fields(error))

    @abstractmethod
    async def _follow(self) -> None:
        """Connect, subscribe to `channels`, call `_came_up`, `_receive` messages, raise when it is lost."""

    @abstractmethod
    async def _send(self, channel: str, message: str) -> None:
        """Publish a message; an attempt that is cancelled must not hold up the next one."""

    @abstractmethod
    async def _close(self) -> None:
        """Give up the connections used for publishing."""

    def _came_up(self) -> None:
        logger.info("Broadcast connection is up", extra=self._fields())
        for channel in self.channels:
            self.inbox.offer_gap(channel)
        self._up_at = asyncio.get_running_loop().time()
        self._up.set()

    async def _keep(self) -> None:
        failures = 0
        while True:
            failures = 0 if await self._follow_once(failures) else failures + 1
            fraction = random.random()  # noqa: S311  # spreads the nodes, keeps no secret
            await asyncio.sleep(backoff_seconds(failures, self.timing, fraction))

    async def _follow_once(self, failures: int) -> bool:
        """Hold one connection until it is lost; give whether it lived long enough to count as good."""
        try:
            await self._follow()
        except self.faults as error:
            # One warning per outage: the later attempts fail as often as the back-off allows.
            level = logging.DEBUG if failures else logging.WARNING
            logger.log(level, "Broadcast connection lost", extra=self._fields(error, failures=failures))
        except Exception:
            # The outermost loop: ending here would leave the node deaf for good.
            logger.exception("Broadcast connection failed", extra=self._fields(failures=failures))
        finally:
            age = asyncio.get_running_loop().time() - self._up_at if self.connected else 0.0
            self._up.clear()
        return age >= self.timing.backoff_cap_seconds

    async def _stop_keeping(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            await end_task(keeper)

    def _fields(self, error: Exception | None = None, **fields: object) -> dict[str, object]:
        cause = {"error": f"{type(error).__name__}: {error}"} if error else {}
        return {"backend": type(self).__name__, **cause, **fields}
