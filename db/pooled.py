"""Connections while they are used: by the driver, and where somebody needs that, by SQLAlchemy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any, TypeVar

from sqlalchemy import Connection, Dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util.concurrency import in_greenlet

P = TypeVar("P", bound="Pooled")


class Pooled:
    """A connection to PostgreSQL in use, and where somebody needs that, as SQLAlchemy's own."""

    def __init__(self, engine: AsyncEngine, pooled: PoolProxiedConnection) -> None:
        self._engine = engine
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
        """Let others use it."""
        self._pooled.close()


@asynccontextmanager
async def checked_out(engine: AsyncEngine) -> AsyncIterator[Pooled]:
    """Take a connection to PostgreSQL from the pool for the length of the block.

    It is ended where it was lost, and where the block was cancelled or timed out: the server may still run a
    statement.
    """
    pooled = await check_out(engine, Pooled)
    try:
        yield pooled
    except BaseException as error:
        if not isinstance(error, Exception) or isinstance(error, TimeoutError) or pooled.is_lost:
            pooled.give_up()
        raise
    finally:
        pooled.give_back()


async def check_out(engine: AsyncEngine, kind: type[P]) -> P:
    """Take a connection that has not ended while it was idle, as all have when the server was restarted."""
    while (pooled := kind(engine, _idle(engine) or await engine.raw_connection())).is_lost:
        pooled.give_up()
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
