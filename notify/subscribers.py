"""Who is handed the events of an account: the bounded queue of each subscription, and what else listens."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from db.events import EventRow
from notify.outage import FeedStopped

#: How many events a subscriber may fall behind before it loses the oldest.
QUEUE_LENGTH = 256

#: Tells whether an event is wanted. What is equal wants the same: it is asked once for all who want so.
Wanted = Callable[[EventRow], bool]


class Listener(Protocol):
    """What the events of an account are handed to, in their order. None of this waits."""

    def offer(self, event: EventRow) -> None:
        """Take an event."""

    def doubt(self) -> None:
        """Take notice that the rights of somebody in the account may have changed."""

    def stop(self) -> None:
        """Take notice that the node is shutting down."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An event as a subscriber gets it."""

    event: EventRow
    missed_before: int  #: events that this subscriber lost just before this one, because it was too slow


class Subscriber:
    """The bounded queue of one subscription. Full: the oldest event goes, and the next one says so."""

    __slots__ = (
        "_lost",
        "_queue",
        "_stopped",
        "_waiter",
        "is_doubted",
        "length",
        "position",
        "wanted",
    )

    def __init__(self, wanted: Wanted, *, length: int) -> None:
        #: The account's last event when the subscription began; None until it has.
        self.position: int | None = None
        #: Whether somebody's rights may have changed. Whoever looks again clears it before.
        self.is_doubted = False
        self.length = length
        self.wanted = wanted
        self._queue: list[EventRow] = []  # mostly empty, where a deque would be 700 bytes
        self._lost = 0  #: events lost just before the first of the queue
        self._waiter: asyncio.Future[None] | None = None
        self._stopped = False

    def offer(self, event: EventRow) -> None:
        """Queue an event if it is wanted; never waits, never grows beyond the length."""
        if self.position is None or not self.wanted(event):
            return
        self._queue.append(event)
        if len(self._queue) > self.length:
            self._queue.pop(0)
            self._lost += 1
        self.wake()

    def doubt(self) -> None:
        """Say that the rights of somebody in the account may have changed."""
        self.is_doubted = True
        self.wake()

    def stop(self) -> None:
        """Wake the subscriber to its end."""
        self._stopped = True
        self.wake()

    def wake(self) -> None:
        """Wake who waits."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def is_asleep(self) -> bool:
        """Whether somebody waits for `until_woken` whom nobody has woken, or cancelled, yet."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def has_news(self) -> bool:
        """Whether an event waits, or a doubt, or the end."""
        return bool(self._queue) or self.is_doubted or self._stopped

    def take(self) -> Heard | None:
        """Return the next event, None where nothing waits.

        Raises:
            FeedStopped: the node is shutting down.
        """
        if self._stopped:
            raise FeedStopped
        if not self._queue:
            return None
        lost, self._lost = self._lost, 0
        return Heard(self._queue.pop(0), lost)

    def until_woken(self) -> asyncio.Future[None]:
        """Return what is done once somebody calls `wake` or `stop`. One waits at a time."""
        self._waiter = asyncio.get_running_loop().create_future()
        if self._stopped:
            self._waiter.set_result(None)
        return self._waiter

    async def next(self, *, within: float) -> Heard | None:
        """Return the next event, or None after `within` seconds without one, or at a doubt.

        Raises:
            FeedStopped: the node is shutting down.
        """
        if not self.has_news:
            try:
                async with asyncio.timeout(within):
                    await self.until_woken()
            except TimeoutError:
                return None
        return self.take()
