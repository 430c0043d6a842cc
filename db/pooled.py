"""Connections while they are used: by the driver, and where somebody needs that, by SQLAlchemy.

Who waits for a connection gets one before whoever comes later. SQLAlchemy's pool (2.1.9) wakes who waits, and
lets them look again: by then whoever gave the connection back, or came meanwhile, may have taken it. One of
sixteen who wrote without a pause on fifteen connections waited ten seconds, and was told that there was none.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any, TypeVar

from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoneLeftError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util.concurrency import in_greenlet

from db.errors import is_read_only

P = TypeVar("P", bound="Pooled")


class Pool:
    """The connections of an engine, which are given out in the order in which they are asked for."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        pool: Any = engine.pool  # one that keeps so many, and opens none beyond
        self._turns = asyncio.Semaphore(pool.size())
        self._patience: float = pool.timeout()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[AsyncEngine]:
        """Wait until one of the connections is free; it stays so for the length of the block.

        Raises:
            sqlalchemy.exc.TimeoutError: all were in use for as long as anybody waits.
        """
        await self.take_turn()
        try:
            yield self.engine
        finally:
            self.end_turn()

    async def take_turn(self) -> None:
        """Wait as `turn` does; whoever calls it calls `end_turn`."""
        if self._turns.locked():
            try:
                async with asyncio.timeout(self._patience):
                    await self._turns.acquire()
            except TimeoutError:
                raise NoneLeftError(f"no connection was free for {self._patience:.0f} s") from None
        else:
            await self._turns.acquire()

    def end_turn(self) -> None:
        """Let the next one have a connection."""
        self._turns.release()

    async def dispose(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


class Pooled:
    """A connection to PostgreSQL in use, and where somebody needs that, as SQLAlchemy's own."""

    def __init__(self, pool: Pool, pooled: PoolProxiedConnection) -> None:
        self._pool = pool
        self._engine = pool.engine
        self._pooled = pooled

    @property
    def dialect(self) -> Dialect:
        """The database's."""
        return self._engine.dialect

    @cached_property
    def driver(self) -> Any:  # noqa: ANN401 (of the class that the engine names)
        """The driver's connection."""
        return self._pooled.driver_connection

    @cached_property
    def connection(self) -> AsyncConnection:
        """The same connection as SQLAlchemy's."""
        sync = Connection(self._engine.sync_engine, connection=self._pooled)
        return AsyncConnection(self._engine, sync)

    @property
    def is_given_up(self) -> bool:
        """Whether nobody knows what the connection is doing, so that it is used no more."""
        return not self._pooled.is_valid

    @property
    def is_lost(self) -> bool:
        """Whether the connection has ended, or was given up."""
        return self.is_given_up or self.driver.is_closed()

    def give_up(self) -> None:
        """End the connection: nobody knows what it is doing."""
        if self._pooled.is_valid:
            self._pooled.invalidate()

    def give_back(self) -> None:
        """Let others use it. To be called once."""
        try:
            self._pooled.close()
        finally:
            self._pool.end_turn()


@asynccontextmanager
async def checked_out(pool: Pool) -> AsyncIterator[Pooled]:
    """Take a connection to PostgreSQL from the pool for the length of the block.

    It is ended where it was lost, where it leads to what can only be read, as a server that is the primary no
    more, and where the block was cancelled or timed out: the server may still run a statement. A fault of the
    database says whether it was lost, as SQLAlchemy's own do.
    """
    pooled = await check_out(pool, Pooled)
    try:
        yield pooled
    except BaseException as error:
        if isinstance(error, DBAPIError) and pooled.is_lost:
            error.connection_invalidated = True
        is_done = isinstance(error, Exception) and not isinstance(error, TimeoutError)
        if not is_done or pooled.is_lost or is_read_only(error):
            pooled.give_up()
        raise
    finally:
        pooled.give_back()


async def check_out(pool: Pool, kind: type[P]) -> P:
    """Take a connection that has not ended while it was idle, as all have when the server was restarted.

    Whoever takes it gives it back.

    Raises:
        sqlalchemy.exc.TimeoutError: as `Pool.turn`.
    """
    await pool.take_turn()
    engine = pool.engine
    try:
        while (pooled := kind(pool, _idle(engine) or await engine.raw_connection())).is_lost:
            pooled.give_up()
    except BaseException:
        pool.end_turn()
        raise
    return pooled


def _idle(engine: AsyncEngine) -> PoolProxiedConnection | None:
    """Take a connection that is idle, past the second stack on which SQLAlchemy waits; None: wait there."""
    if not engine.pool.checkedin():  # type: ignore[attr-defined]  # every pool but NullPool has it
        return None
    try:
        return engine.sync_engine.raw_connection()
    except NotOpenError:
        return None


class NotOpenError(Exception):
    """A connection was given up while it was idle, and is to be opened again where that can be awaited."""


def open_where_awaited(*_: object) -> None:
    """Let SQLAlchemy open a connection, unless nobody could wait for it: its event `do_connect`.

    Raises:
        NotOpenError: there is no second stack.
    """
    if not in_greenlet():
        raise NotOpenError
