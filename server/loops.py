"""A worker's loops: each does what is due, again and again, and sleeps while nothing is."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

_LONGEST_WAIT_SECONDS = 2.0


async def _nothing() -> None: ...


class Loop:
    """One kind of work in one process; any number of processes may do it."""

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[int]],
        *,
        stop: Callable[[], None] | None = None,
        rest: Callable[[], Awaitable[None]] = _nothing,
        patience: float | None = None,
    ) -> None:
        """Make it; nothing is done before `start`.

        Args:
            name: For the log.
            work: Does what is due now, and returns how much that was.
            stop: Lets work that is under way begin nothing more.
            rest: Lets go of what need not be held while nothing is due.
            patience: How many seconds work that is under way may take at the end; None: as long as it takes.
        """
        self._name = name
        self._work = work
        self._stop = stop
        self._rest = rest
        self._patience = patience
        self._woken = asyncio.Event()
        self._stopping = False
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Work from now on."""
        self._running = asyncio.create_task(self._run())

    def wake(self) -> None:
        """Look for what is due now, not at the next poll."""
        self._woken.set()

    async def end(self) -> None:
        """Begin nothing more, and wait for what is under way; cut off what takes too long."""
        self._stopping = True
        if self._stop is not None:
            self._stop()
        self._woken.set()
        if self._running is None:
            return
        try:
            async with asyncio.timeout(self._patience):
                await self._running
        except TimeoutError:
            log.warning("work cut off at the end", extra={"work": self._name})

    async def _run(self) -> None:
        """Work until stopped. A database that is away is tried again."""
        while not self._stopping:
            self._woken.clear()
            if not await self._try():
                await self._wait()

    async def _try(self) -> int:
        try:
            done = await self._work()
            if not done:
                await self._rest()
        except Exception:
            log.exception("due work not done", extra={"work": self._name})
            return 0
        return done

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_LONGEST_WAIT_SECONDS):
                await self._woken.wait()
        except TimeoutError:
            pass
