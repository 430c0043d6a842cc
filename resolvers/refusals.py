"""Keeps a record of refused mutations, in batches and beside the requests: a refusal must stay cheap."""

import asyncio
import logging
from collections import deque
from contextlib import suppress

from db import audit_log
from db.audit_log import Refused
from db.session import Database

log = logging.getLogger(__name__)

#: Refusals that may wait. Beyond that the oldest are lost, and the log says how many: an attacker must not
#: be able to fill the memory.
_MOST_WAITING = 10_000
_BATCH = 500


class RefusalLog:
    """Start it before the first request; stop it after the last."""

    def __init__(
        self, database: Database, *, batch_seconds: float = 0.5, most_waiting: int = _MOST_WAITING
    ) -> None:
        self._database = database
        self._most_waiting = most_waiting
        self._batch_seconds = batch_seconds
        self._waiting: deque[Refused] = deque()
        self._lost = 0
        self._arrived = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def note(self, refused: Refused) -> None:
        """Keep a refusal; returns at once."""
        if len(self._waiting) >= self._most_waiting:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append(refused)
        self._arrived.set()

    async def start(self) -> None:
        """Begin to record."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Record what is waiting, and end."""
        self._stopping.set()
        self._arrived.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        is_last = False
        while not is_last:
            await self._arrived.wait()
            with suppress(TimeoutError):  # more may come until then
                async with asyncio.timeout(self._batch_seconds):
                    await self._stopping.wait()
            is_last = self._stopping.is_set()
            self._arrived.clear()
            while self._waiting and await self._write():
                pass

    async def _write(self) -> bool:
        """Write one batch; False where the database is away, and the batch waits for the next round."""
        batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
        try:
            async with self._database.system() as tx:
                await audit_log.add(tx, batch)
        except Exception:
            log.exception("refusals not recorded yet", extra={"lost": self._lost})
            self._waiting.extendleft(reversed(batch))
            self._arrived.set()
            return False
        if self._lost:
            log.warning("refusals lost: too many at once", extra={"lost": self._lost})
            self._lost = 0
        return True
