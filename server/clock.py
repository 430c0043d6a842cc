"""Compares the clock of this machine with that of the database's server, which all processes share.

Leases, heartbeats and ends of claims are stored by one process, and compared by others with their own clock.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime

from db import figures
from db.errors import is_away
from db.session import Database

log = logging.getLogger(__name__)

_LOOK_SECONDS = 60.0
_REPEAT_SECONDS = 3600.0
#: NTP keeps clocks within milliseconds, and the shortest lease or heartbeat counts in tens of seconds.
_BEARABLE_SECONDS = 2.0


class Clock:
    """Looks as soon as it is started, and every minute. SQLite's processes share one machine's clock."""

    def __init__(
        self, database: Database, now: Callable[[], datetime], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.ahead_seconds = 0.0  #: of the database's, as far as is known; less than 0: behind it
        self._database = database
        self._now = now
        self._clock = clock
        self._told_at: float | None = None  #: None: it was right when last looked at
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to compare."""
        if not self._database.is_sqlite:
            self._task = asyncio.create_task(self._keep_looking())

    async def stop(self) -> None:
        """Compare no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        """Compare once, and say it where the difference matters: at first, and once an hour."""
        asked_at = self._now()
        theirs = await figures.clock(self._database)
        took = self._now() - asked_at
        self.ahead_seconds = (asked_at + took / 2 - theirs).total_seconds()
        # The answer may have taken all that time on one of the two ways.
        is_off = abs(self.ahead_seconds) - took.total_seconds() / 2 > _BEARABLE_SECONDS
        now = self._clock()
        if is_off and (self._told_at is None or now - self._told_at >= _REPEAT_SECONDS):
            fields = {"seconds_ahead": round(self.ahead_seconds, 1)}
            log.warning("this machine's clock is not the database's: let NTP set both", extra=fields)
            self._told_at = now
        elif not is_off and self._told_at is not None:
            log.info("this machine's clock is the database's again")
            self._told_at = None

    async def _keep_looking(self) -> None:
        while True:
            try:
                await self.look()
            except Exception as fault:
                if not is_away(fault):  # others tell of that
                    log.warning("clock not compared", exc_info=True)
            await asyncio.sleep(_LOOK_SECONDS)
