"""Cancels work wherever it waits."""

import asyncio
from collections.abc import Awaitable, Generator
from typing import Any


class CancelledAt:
    """Work that is cancelled where it waits for the nth time; `waits` counts them."""

    def __init__(self, place: int, work: Awaitable[object]) -> None:
        self._place = place
        self._work = work
        self.waits = 0

    def __await__(self) -> Generator[Any, Any, None]:
        """Do the work, as the task that awaits it."""
        steps, error = self._work.__await__(), None
        while True:
            try:
                waited = next(steps) if error is None else steps.throw(error)
            except StopIteration:
                return
            self._count()
            try:
                error = None
                yield waited
            except BaseException as raised:  # noqa: BLE001 (it goes on to the work)
                error = raised

    def _count(self) -> None:
        self.waits += 1
        task = asyncio.current_task()
        if self.waits == self._place and task is not None:
            task.cancel()

    async def end(self) -> BaseException | None:
        """Do the work in a task of its own; return how it ended."""

        async def do() -> None:
            await self

        (end,) = await asyncio.gather(do(), return_exceptions=True)
        return end
