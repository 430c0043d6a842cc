"""The bounded queue between the connection of a backend and the listener of broadcaster."""

import asyncio
from collections import deque

from broadcaster import Event

COMPARE_EVERYTHING = ""  #: The message after a gap: anything may have been lost, so compare everything.


class Inbox:
    """Messages that were received and not fetched yet, at most `limit`; a further one pushes the oldest out.

    A channel with a gap gets COMPARE_EVERYTHING before its other messages. Gaps take no place in the queue: a
    flood cannot push out the sign that it pushed something out.
    """

    def __init__(self, limit: int) -> None:
        self._events: deque[Event] = deque(maxlen=limit)
        self._gaps: set[str] = set()
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._events) + len(self._gaps)

    def offer(self, channel: str, message: str) -> None:
        """Add a message, at the price of the oldest if the inbox is full."""
        if len(self._events) == self._events.maxlen:
            self._gaps.add(self._events[0].channel)
        self._events.append(Event(channel, message))
        self._filled.set()

    def offer_gap(self, channel: str) -> None:
        """Say that messages of this channel may have been lost."""
        self._gaps.add(channel)
        self._filled.set()

    async def take(self) -> Event:
        """Wait for a message, gaps first."""
        while not self:
            self._filled.clear()
            await self._filled.wait()
        if self._gaps:
            return Event(self._gaps.pop(), COMPARE_EVERYTHING)
        return self._events.popleft()
