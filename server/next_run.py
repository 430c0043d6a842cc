"""One read for all who ask while the read before is under way."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class NextRun(Generic[K, V]):
    """Reads values by their keys, many at once when many ask.

    Whoever asks gets the result of a read that began after they asked, never of the one under way: they see
    what they, or anybody who told them, had changed before.
    """

    def __init__(self, read: Callable[[Collection[K]], Awaitable[Mapping[K, V]]]) -> None:
        """Take what reads; a key that it does not return has no value."""
        self._read = read
        self._waiting: dict[K, asyncio.Future[V | None]] = {}
        self._running: asyncio.Task[None] | None = None

    async def load(self, key: K) -> V | None:
        """Return the value of a key, None where it has none."""
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await asyncio.shield(future)  # others wait for it too

    async def _run(self) -> None:
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, {}
                await self._answer(asked)
        finally:
            self._running = None

    async def _answer(self, asked: dict[K, asyncio.Future[V | None]]) -> None:
        try:
            found = await self._read(asked.keys())
        except Exception as error:  # noqa: BLE001 (it is raised by whoever asked)
            for future in asked.values():
                future.set_exception(error)
                future.exception()  # somebody may have left: nobody need look at it
        else:
            for key, future in asked.items():
                future.set_result(found.get(key))
