"""Records which pushes were written to a socket and which were confirmed, many in one transaction.

A confirmation settles two deliveries: the PUSH is DELIVERED, and the recipient's EMAIL is not needed.
Until it is recorded the mail may go; a mail too many is better than one too few.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from uuid import UUID

from db import pushes
from db.errors import is_away
from db.pushes import Push
from db.session import Database

log = logging.getLogger(__name__)

_TRIES = 5
_RETRY_SECONDS = 0.5
_BATCH = 1_000  # a statement names each with up to 4 values; PostgreSQL takes 32,767


class Receipts:
    """Collects what the sockets of this node learn. Start it once; stop it after the last socket."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        *,
        batch_seconds: float = 0.05,
        retry_seconds: float = _RETRY_SECONDS,
    ) -> None:
        self._database = database
        self._now = now
        self._batch_seconds = batch_seconds
        self._retry_seconds = retry_seconds
        self._waiting: dict[UUID, dict[Push, bool]] = defaultdict(dict)
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._has_given_up = False  #: the node stops, and the database is away

    async def start(self) -> None:
        """Begin to record."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Record what is waiting, and end."""
        self._stopping = True
        self._arrived.set()
        if self._task is not None:
            await self._task

    def written(self, account_id: UUID, push: Push) -> None:
        """Note that a push was written to a socket of its recipient."""
        self._waiting[account_id].setdefault(push, False)
        self._arrived.set()

    def confirmed(self, account_id: UUID, push: Push) -> None:
        """Note that the recipient's client has the push."""
        self._waiting[account_id][push] = True
        self._arrived.set()

    async def _run(self) -> None:
        while not self._stopping or self._waiting:
            await self._arrived.wait()
            if not self._stopping:
                await asyncio.sleep(self._batch_seconds)
            self._arrived.clear()
            waiting, self._waiting = self._waiting, defaultdict(dict)
            for account_id, noted in waiting.items():
                for batch in _batches(noted.items()):
                    await self._record(account_id, batch)

    async def _record(self, account_id: UUID, noted: dict[Push, bool]) -> None:
        """Write a batch of one account.

        While the database is away it waits; nothing is pushed meanwhile, so no more come than were pushed
        before. After a few failures of another kind it is dropped, and all are where the node stops in an
        outage: the mails go, which is safe.
        """
        failures = 0
        while failures < _TRIES and not self._has_given_up:
            try:
                await self._write(account_id, noted)
            except Exception as fault:
                log.exception("receipts not recorded")
                failures += not is_away(fault)
                self._has_given_up = self._stopping and is_away(fault)
                await asyncio.sleep(self._retry_seconds)
            else:
                return

    async def _write(self, account_id: UUID, noted: dict[Push, bool]) -> None:
        async with self._database.transaction(account_id) as tx:
            await pushes.lock(tx, list(noted))
            written = [push for push, is_confirmed in noted.items() if not is_confirmed]
            await pushes.mark_sent(tx, written, at=self._now())
            confirmed = [push for push, is_confirmed in noted.items() if is_confirmed]
            await pushes.confirm(tx, confirmed, at=self._now())


def _batches(noted: Iterable[tuple[Push, bool]]) -> Iterator[dict[Push, bool]]:
    """Return what was noted in parts that one statement can name."""
    rest = iter(noted)
    while batch := dict(islice(rest, _BATCH)):
        yield batch
