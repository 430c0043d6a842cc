"""Statements on PostgreSQL past what SQLAlchemy does around each.

SQLAlchemy builds a statement's text from objects, and each value of a row from the driver's, at every run.
For a statement that is run again and again that costs more than PostgreSQL needs to answer it. So such
statements are built once, compiled once, and go to the driver as text.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property, lru_cache
from typing import Any

import asyncpg
from sqlalchemy import Connection, Executable, Uuid
from sqlalchemy.dialects.postgresql import asyncpg as dialect
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.types import TypeEngine

from db.types import Named, Ranked, UtcDateTime

Rows = Sequence[Any]  #: each a sequence of the columns' values
Convert = Callable[[Any], Any]  #: makes of a value what the driver is given, or of the driver's what ours is
DIALECT = dialect.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own


class NativeConnection(asyncpg.Connection):
    """A connection of the driver on which such statements run."""

    async def begin(self) -> None:
        """Begin the transaction of the next statement, where it is not one by itself and has not begun."""


class Pooled:
    """A connection in use, past SQLAlchemy and, where somebody needs that, as SQLAlchemy's own."""

    def __init__(self, engine: AsyncEngine, pooled: PoolProxiedConnection) -> None:
        self._engine = engine
        self._pooled = pooled

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
    def is_lost(self) -> bool:
        """Whether the connection has ended, or was given up."""
        return not self._pooled.is_valid or self.driver.is_closed()

    def give_up(self) -> None:
        """End the connection: nobody knows what it is doing."""
        if self._pooled.is_valid:
            self._pooled.invalidate()

    def give_back(self) -> None:
        """Let others use it."""
        self._pooled.close()


@asynccontextmanager
async def checked_out(engine: AsyncEngine) -> AsyncIterator[Pooled]:
    """Take a connection from the pool for the length of the block.

    It is ended where it was lost, and where the block was cancelled: the server may still run a statement.
    """
    pooled = await _check_out(engine)
    try:
        yield pooled
    except BaseException as error:
        if not isinstance(error, Exception) or pooled.is_lost:
            pooled.give_up()
        raise
    finally:
        pooled.give_back()


async def _check_out(engine: AsyncEngine) -> Pooled:
    """Take a connection that has not ended while it was idle, as all have when the server was restarted."""
    while (pooled := Pooled(engine, await engine.raw_connection())).is_lost:
        pooled.give_up()
    return pooled


class Native:
    """A statement as the driver takes it. It names its values with `bindparam`, and none is a list for IN."""

    def __init__(self, statement: Executable) -> None:
        compiled: Any = statement.compile(dialect=DIALECT)  # type: ignore[attr-defined]  # every statement has it
        given_later = {name: None for name, each in compiled.binds.items() if each.required}
        expanded = compiled.construct_expanded_state(given_later)  # constants of an IN one by one
        stores: Mapping[str, Convert] = {**compiled._bind_processors, **expanded.processors}
        self._text: str = expanded.statement
        self._constants: Mapping[str, Any] = expanded.parameters
        self._parameters = [(name, stores.get(name)) for name in expanded.positiontup or ()]
        self._loads = loads_of(column.type for column in getattr(statement, "exported_columns", ()))

    async def fetch(self, connection: NativeConnection, values: Mapping[str, Any]) -> Rows:
        """Run it and return its rows.

        Raises:
            IntegrityError, DBAPIError: as SQLAlchemy does.
        """
        given = {**self._constants, **values}
        stored = [given[name] if store is None else store(given[name]) for name, store in self._parameters]
        await connection.begin()
        with faults():
            rows: Rows = await connection.fetch(self._text, *stored)
        return converted(rows, self._loads) if self._loads else rows


@lru_cache(1024)
def native(statement: Executable) -> Native:
    """Return a statement as the driver takes it; known again by the very object."""
    return Native(statement)


def loads_of(types: Iterable[TypeEngine[Any]]) -> list[tuple[int, Convert]]:
    """Return how values of these types are made of the driver's, for those that are not the same."""
    found = ((place, _load_of(kind)) for place, kind in enumerate(types))
    return [(place, load) for place, load in found if load is not None]


def converted(rows: Iterable[Iterable[Any]], loads: Sequence[tuple[int, Convert]]) -> list[list[Any]]:
    """Return the rows with the values of some columns converted."""
    found = [list(row) for row in rows]
    for row in found:
        for place, load in loads:
            row[place] = load(row[place])
    return found


@contextmanager
def faults() -> Iterator[None]:
    """Raise the driver's errors as SQLAlchemy does."""
    try:
        yield
    except asyncpg.IntegrityConstraintViolationError as error:
        raise IntegrityError(None, None, error, hide_parameters=True) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DBAPIError(None, None, error, hide_parameters=True) from error


def _load_of(kind: TypeEngine[Any]) -> Convert | None:
    if isinstance(kind, Named | Ranked):
        members = {member.value: member for member in kind.members}
        return {None: None, **members}.__getitem__
    if isinstance(kind, UtcDateTime | Uuid):
        return None  # the driver's have a time zone, and are UUIDs
    return kind.dialect_impl(DIALECT).result_processor(DIALECT, None)
