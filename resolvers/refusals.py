"""Keeps a record of refused mutations, in batches and beside the requests: a refusal must stay cheap."""

import logging
from collections import deque

from db import audit_log
from db.audit_log import Refused
from db.session import Database
from resolvers.batches import Batches

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
        self._waiting: deque[Refused] = deque()
        self._lost = 0
        self._batches = Batches(self._write_all, seconds=batch_seconds)

    def note(self, refused: Refused) -> None:
        """Keep a refusal; returns at once."""
        if len(self._waiting) >= self._most_waiting:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append(refused)
        self._batches.begin_soon()

    async def start(self) -> None:
        """Begin to record."""
        await self._batches.start()

    async def stop(self) -> None:
        """Record what is waiting, and end."""
        await self._batches.stop()

    async def _write_all(self) -> None:
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
            self._batches.begin_soon()
            return False
        if self._lost:
            log.warning("refusals lost: too many at once", extra={"lost": self._lost})
            self._lost = 0
        return True
