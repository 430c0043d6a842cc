"""Waits until others wait for a lock of PostgreSQL."""

import asyncio

from sqlalchemy import text

from tests.cast import Cast
from tests.patience import PATIENCE

_WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def until_waiting(cast: Cast, count: int) -> None:
    """Wait until so many wait for a lock."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with cast.database.owning() as tx:
                if await tx.fetch_value(_WAITING) == count:
                    return
