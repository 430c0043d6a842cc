"""Records when API keys were last used: later, beside the requests, and at most once a minute for each."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from db import system
from db.api_keys import ApiKeyRow
from db.session import Database
from resolvers.batches import Batches

log = logging.getLogger(__name__)

EVERY = timedelta(minutes=1)


class KeyUses:
    """Collects what the requests of this node tell. Start it once; stop it after the last request."""

    def __init__(
        self, database: Database, now: Callable[[], datetime], *, batch_seconds: float = 1.0
    ) -> None:
        self._database = database
        self._now = now
        self._waiting: dict[UUID, datetime] = {}
        self._batches = Batches(self._record, seconds=batch_seconds)

    async def start(self) -> None:
        """Begin to record."""
        await self._batches.start()

    async def stop(self) -> None:
        """Record what is waiting, and end."""
        await self._batches.stop()

    def note(self, key: ApiKeyRow) -> None:
        """Note that a key, as it was just read, is used; nothing where that was recorded a moment ago."""
        now = self._now()
        if key.last_used_at is None or now - key.last_used_at >= EVERY:
            self._waiting[key.id] = now
            self._batches.begin_soon()

    async def _record(self) -> None:
        """Write a batch. Where that fails it is lost: the next use of the key tells as much."""
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        try:
            async with self._database.system() as tx:
                await system.note_key_uses(tx, waiting, every=EVERY)
        except Exception:
            log.exception("uses of API keys not recorded")
