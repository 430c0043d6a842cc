"""The time in which this node cannot reach its database.

Whoever meets it says so, and waits; the feed, which reads anyway, ends it for all. So however many wait, one
asks whether the database is back, and the log says once that they wait.

Where nothing can be stored, as on a full disk, but all can be read, no outage begins: the feed, which only
reads, would end it at once, again and again. Who has to store something asks again from time to time.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from db.errors import is_away, is_unwritable

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds between two questions whether the database is back.
_RETRY_SECONDS = 0.5
#: Those between two attempts to store something where nothing can be, by each who waits; up to twice as many.
_FULL_SECONDS = 2.5


class FeedStopped(Exception):  # noqa: N818 (an end, not a fault)
    """The node is shutting down."""


class Outage:
    """Of one node. Time and again there is none."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()
        self._over = asyncio.Event()
        self._stopped = False

    @property
    def is_on(self) -> bool:
        """Whether the database is away, as far as is known."""
        return self._begun.is_set()

    def notice(self, fault: Exception) -> bool:
        """Tell whether a fault says that the database is away.

        The first one that begins an outage is logged.
        """
        if not is_away(fault):
            return False
        if not self.is_on and not is_unwritable(fault):
            log.error("subscriptions wait for the database", exc_info=fault)
            self._begun.set()
            self._over.clear()
        return True

    def end(self) -> None:
        """Take notice that the database has answered."""
        if self.is_on:
            log.warning("subscriptions go on")
            self._begun.clear()
            self._over.set()

    def stop(self) -> None:
        """Wake all who wait to their end."""
        self._stopped = True
        self._over.set()

    async def wait_out(self, fault: Exception) -> None:
        """Wait until the database has answered again, after a fault.

        Raises:
            Exception: the fault itself, if it does not say that the database is away.
            FeedStopped: the node is shutting down.
        """
        if not self.notice(fault):
            raise fault
        if not self.is_on:
            await asyncio.sleep(_FULL_SECONDS * random.uniform(1.0, 2.0))  # noqa: S311 (no secret)
        elif not self._stopped:
            await self._over.wait()
        if self._stopped:
            raise FeedStopped

    async def outlast(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the database for something: where it is away, again as soon as it has answered.

        Raises:
            Exception: what `ask` raises that does not say that the database is away.
            FeedStopped: the node is shutting down.
        """
        while True:
            try:
                return await ask()
            except Exception as fault:  # noqa: BLE001 (raised there, unless it passes)
                await self.wait_out(fault)

    async def pause(self, seconds: float) -> None:
        """Wait for so long; during an outage for a shorter time, so as to find out soon that it is over."""
        try:
            async with asyncio.timeout(seconds):
                await self._begun.wait()
                await asyncio.sleep(_RETRY_SECONDS)
        except TimeoutError:
            pass
