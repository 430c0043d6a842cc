"""What the clock demands of handoffs: reminders, ends of claims, looks whether anybody could be told."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from db import system
from db.errors import is_away
from db.session import Database
from resolvers import reminders
from schema.context import utc_now

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_BATCH = 100
#: Between two looks. Where more goes by, nobody could work meanwhile: the database or this machine was away.
_LONGEST_PAUSE = timedelta(seconds=10)
_MOST_SPARED = timedelta(hours=1)


class DueWork:
    """One worker's part of it. What one of several has begun the others pass over."""

    def __init__(self, database: Database, grace: timedelta, now: Callable[[], datetime] = utc_now) -> None:
        """Make it; nothing is looked at before `do`.

        Args:
            database: Where what is due stands.
            grace: How long a push may stay unconfirmed before the mail goes.
            now: The clock.
        """
        self._database = database
        self._grace = grace
        self._now = now
        self._looked_at = now()
        self._lost = timedelta(0)
        self._spared_until = self._looked_at

    async def do(self) -> int:
        """Remind, end claims and check reach, where that is due now; return how many handoffs were touched.

        After an outage claims last as much longer as that took: nobody could show a sign of work meanwhile,
        and all of them would expire at once. A worker that was started since knows nothing of it.

        Raises:
            Exception: what is due could not be read, or the database went away.
        """
        now = self._now()
        spared = self._spared(now)
        async with self._database.system_reading() as tx:
            to_remind = await system.due_reminders(tx, now=now, limit=_BATCH)
            to_expire = await system.expired_claims(tx, now=now - spared, limit=_BATCH)
            to_check = await system.due_reach_checks(tx, now=now, limit=_BATCH)
        touched = 0
        jobs = (
            (to_remind, partial(reminders.remind, grace=self._grace)),
            (to_expire, partial(reminders.expire_claim, grace=self._grace)),
            (to_check, reminders.check_reach),
        )
        for due, job in jobs:
            for handoff in due:
                try:
                    async with self._database.transaction(handoff.account_id) as tx:
                        touched += await job(tx, handoff.id, now=now)
                except Exception as error:  # the others are due as well
                    if is_away(error):
                        raise
                    log.exception("due handoff not worked off", extra={"handoff_id": str(handoff.id)})
        self._looked(now, spared)
        return touched

    async def keep_doing(self) -> None:
        """Do it each second, until cancelled."""
        while True:
            try:
                await self.do()
            except Exception:
                log.exception("due handoffs not worked off")
            await asyncio.sleep(_LOOK_SECONDS)

    def _spared(self, now: datetime) -> timedelta:
        """Return how much longer claims last now, because of the last outages."""
        still = self._lost if now < self._spared_until else timedelta(0)
        pause = now - self._looked_at
        return min(still + pause, _MOST_SPARED) if pause > _LONGEST_PAUSE else still

    def _looked(self, began_at: datetime, spared: timedelta) -> None:
        """Note that all that was due has been read and worked off."""
        if began_at - self._looked_at > _LONGEST_PAUSE:
            self._lost, self._spared_until = spared, began_at + spared
        self._looked_at = self._now()
