"""Functions that last as long as a test wants, to see what goes on meanwhile."""

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

from tests.patience import PATIENCE

P = ParamSpec("P")
R = TypeVar("R")


class SlowFunction(Generic[P, R]):
    """Does what another function does, each time not before it may."""

    def __init__(self, does: Callable[P, R]) -> None:
        self._does = does
        self._loop = asyncio.get_running_loop()
        self._begun = asyncio.Event()
        self._may_end = threading.Event()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Tell that it has begun, and wait."""
        self._loop.call_soon_threadsafe(self._begun.set)
        assert self._may_end.wait(PATIENCE), "nothing went on meanwhile"
        return self._does(*args, **kwargs)

    async def begun(self) -> None:
        """Wait until it was called."""
        async with asyncio.timeout(2 * PATIENCE):
            await self._begun.wait()

    def end(self) -> None:
        """Let it end."""
        self._may_end.set()
