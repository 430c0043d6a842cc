"""Writes what requests leave behind: later, beside them, and many at once."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress


class Batches:
    """Calls `write` a little after something has arrived, and a last time at its end. Started once."""

    def __init__(self, write: Callable[[], Awaitable[None]], *, seconds: float) -> None:
        """Describe the rounds.

        Args:
            write: Writes all that waits; it must not raise.
            seconds: How long more may arrive before it is called.
        """
        self._write = write
        self._seconds = seconds
        self._arrived = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin_soon(self) -> None:
        """Tell that something waits; returns at once."""
        self._arrived.set()

    async def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Write what is waiting, and end."""
        self._stopping.set()
        self._arrived.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        is_last = False
        while not is_last:
            await self._arrived.wait()
            with suppress(TimeoutError):  # more may come until then
                async with asyncio.timeout(self._seconds):
                    await self._stopping.wait()
            is_last = self._stopping.is_set()
            self._arrived.clear()
            await self._write()
