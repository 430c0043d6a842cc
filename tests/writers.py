"""Holds up whoever writes, so that what only reads is seen to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text

from db.session import Database


@asynccontextmanager
async def only_reading(database: Database, table: str) -> AsyncIterator[None]:
    """Let nobody write to a table while the block runs; on SQLite, to none."""
    async with database.owning() as tx:
        if tx.is_postgresql:
            await tx.connection.execute(text(f"LOCK TABLE {table} IN EXCLUSIVE MODE"))
        yield
