"""Records when API keys were last used: later, beside the requests, and at most once a minute for each."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from db import system
from db.api_keys import ApiKeyRow
from db.session import Database

log = logging.getLogger(__name__)

EVERY = timedelta(minutes=1)


class KeyUses:
    """Collects what the requests of this node tell. Start it once; stop it after the last request."""

    def __init__(
        self, database: Database, now: Callable[[], datetime], *, batch_seconds: float = 1.0
    ) -> None:
        self._database = database
        self._now = now
        self._batch_seconds = batch_seconds
        self._waiting: dict[UUID, datetime] = {}
        self._arrived = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to record."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Record what is waiting, and end."""
        self._stopping.set()
        self._arrived.set()
        if self._task is not None:
            await self._task

    def note(self, key: ApiKeyRow) -> None:
        """Note that a key, as it was just read, is used; nothing where that was recorded a moment ago."""
        now = self._now()
        if key.last_used_at is None or now - key.last_used_at >= EVERY:
            self._waiting[key.id] = now
            self._arrived.set()

    async def _run(self) -> None:
        while not self._stopping.is_set():
            await self._arrived.wait()
            await self._collect()
            self._arrived.clear()
            waiting, self._waiting = self._waiting, {}
            await self._record(waiting)

    async def _collect(self) -> None:
        """Give more uses the time to arrive, unless the node stops."""
        try:
            async with asyncio.timeout(self._batch_seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _record(self, waiting: dict[UUID, datetime]) -> None:
        """Write a batch. Where that fails it is lost: the next use of the key tells as much."""
        if not waiting:
            return
        try:
            async with self._database.system() as tx:
                await system.note_key_uses(tx, waiting, every=EVERY)
        except Exception:
            log.exception("uses of API keys not recorded")
