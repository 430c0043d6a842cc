"""How the service reaches its database: two engines, one code, one transaction per entry point.

    async with database.transaction(account_id) as tx:   # a mutation, a command, a job
        ...
    async with database.reading(account_id) as tx:       # a query
    async with database.snapshot(account_id) as tx:      # many queries that have to agree

Functions in db/ take the transaction and with it its account: a statement about an account cannot be
called without naming one. The few that cross accounts, most of them in `db/system.py`, take a
`SystemTransaction`. On PostgreSQL row-level security holds the same line again, below every statement.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

import aiosqlite
from sqlalchemy import Column, ColumnElement, Executable, FromClause, Select, Table
from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils.compat import uuid7

from db import engines
from db.addresses import read_address
from db.at_once import Lock
from db.conversions import POSTGRESQL
from db.native import NativeConnection, Rows, Values, native
from db.pooled import Pooled, checked_out
from db.row_security import AccountConnection, begun
from db.sqlite_connections import Writing, WritingConnection, begun_on_sqlite, glance_at_sqlite

if TYPE_CHECKING:
    from db.events import EventRow

R = TypeVar("R")

#: A transaction of many statements that sees the account as it was at the first of them.
_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


@dataclass(slots=True)
class SystemTransaction:
    """An open transaction that belongs to no account."""

    source: AsyncConnection | Pooled

    @property
    def connection(self) -> AsyncConnection:
        """SQLAlchemy's connection."""
        return self.source.connection if isinstance(self.source, Pooled) else self.source

    @property
    def driver(self) -> NativeConnection | None:
        """PostgreSQL's connection, for what goes past SQLAlchemy; None where nothing may."""
        if isinstance(self.source, AsyncConnection | Writing):
            return None
        return cast("NativeConnection", self.source.driver)

    @property
    def writer(self) -> WritingConnection | None:
        """SQLite's connection, for what goes past SQLAlchemy, where the transaction writes."""
        return self.source.driver if isinstance(self.source, Writing) else None

    @property
    def is_postgresql(self) -> bool:
        """Whether statements may use what SQLite lacks."""
        return self.source.dialect.name == "postgresql"

    async def fetch_all(self, statement: Executable, row: type[R]) -> list[R]:
        """Return every row as `row`, a dataclass whose fields stand in the order of the columns."""
        return [row(*values) for values in await self.connection.execute(statement)]

    async def fetch_one(self, statement: Executable, row: type[R]) -> R | None:
        """Return the first row as `row`, or None."""
        values = (await self.connection.execute(statement)).first()
        return None if values is None else row(*values)

    async def fetch_value(self, statement: Executable) -> Any:  # noqa: ANN401 (a single column of any type)
        """Return the first column of the first row, or None."""
        return (await self.connection.execute(statement)).scalar()

    async def execute(self, statement: Executable, values: Sequence[dict[str, Any]] | None = None) -> int:
        """Run a statement and return the number of rows that it touched."""
        return (await self.connection.execute(statement, values)).rowcount


@dataclass(slots=True)
class Transaction(SystemTransaction):
    """An open transaction of one account."""

    account_id: UUID
    #: The events written so far in this transaction, as they are stored; their numbers have no gaps.
    events: "list[EventRow]" = field(default_factory=list)
    _on_sqlite: aiosqlite.Connection | None = None

    async def sqlite_driver(self) -> aiosqlite.Connection:
        """Return SQLite's connection in a transaction that reads, for what goes past SQLAlchemy there."""
        if self._on_sqlite is None:
            if not self.connection.in_transaction():
                await self.connection.begin()
            pooled = await self.connection.get_raw_connection()
            self._on_sqlite = cast("aiosqlite.Connection", pooled.driver_connection)
        return self._on_sqlite

    async def lock(self, lock: Lock, locked_id: UUID) -> None:
        """Lock rows of the account, on PostgreSQL: SQLite has locked everything.

        It goes with the BEGIN where the transaction has not begun. What is read after it is as those left it
        who held the rows before.
        """
        if isinstance(self.driver, AccountConnection):
            await self.driver.lock(lock, locked_id)

    def own(self, table: FromClause) -> ColumnElement[bool]:
        """Return the condition that a row of `table`, or of an alias of it, belongs to this account."""
        return table.c.account_id == self.account_id


def columns_of(row: type, table: Table) -> list[Column[Any]]:
    """Return the columns of `table` that the dataclass `row` names, in its order."""
    return [table.c[field.name] for field in fields(row)]


def new_id() -> UUID:
    """Make a UUIDv7: unique anywhere, ascending in time, so that indexes grow at one end."""
    return uuid7()


class Database:
    """The engines of one process.

    After each commit `on_commit` hears the events that it has stored, in their order, if there are any.
    """

    def __init__(self, url: str) -> None:
        address = read_address(url)
        self.is_sqlite = address.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._writer, self._reader = engines.sqlite_pools(address)
            self._system, self._system_reader = self._writer, self._reader
        else:
            self._writer = engines.postgresql_writer(address)
            self._reader = engines.postgresql_reader(address, role="handoff_app")
            self._system = engines.postgresql_system_writer(address)
            self._system_reader = engines.postgresql_reader(address, role="handoff_worker")
            self._owner = engines.postgresql_owner(address)
        self.on_commit: list[Callable[[Sequence[EventRow]], None]] = []

    @asynccontextmanager
    async def transaction(self, account_id: UUID) -> AsyncIterator[Transaction]:
        """Open the one transaction of an entry point; commit at its end, roll back on any exception."""
        if self.is_sqlite:
            async with begun_on_sqlite(self._writer) as pooled:
                yield (tx := Transaction(pooled, account_id))
        else:
            async with begun(self._writer, account_id) as pooled:
                yield (tx := Transaction(pooled, account_id))
        if tx.events:
            for hear in self.on_commit:
                hear(tx.events)

    @asynccontextmanager
    async def reading(self, account_id: UUID) -> AsyncIterator[Transaction]:
        """Open what only reads.

        On PostgreSQL each statement is a transaction by itself, which sees what was committed before it: as
        it would in one transaction of READ COMMITTED, without the round trips to begin and to end that.
        """
        if self.is_sqlite:
            async with self._reader.turn() as engine, engine.connect() as connection:
                yield Transaction(connection, account_id)
        else:
            async with checked_out(self._reader) as pooled:
                await pooled.driver.bind(account_id)
                yield Transaction(pooled, account_id)

    async def glance(self, account_id: UUID, statement: Select[Any], values: Values) -> Rows:
        """Run one statement that reads, built once, in a transaction of its own."""
        if self.is_sqlite:
            return await glance_at_sqlite(self._reader, statement, values)
        async with checked_out(self._reader) as pooled:
            await pooled.driver.bind(account_id)
            return await native(statement, POSTGRESQL).fetch(pooled.driver, values)

    async def glance_by_name(self, statement: Select[Any], values: Values) -> Rows:
        """Run one statement as `glance` does, which itself names its account (`row_security.naming_account`).

        One that names none would show rows of whichever account the connection has shown last. PostgreSQL's
        alone.
        """
        async with checked_out(self._reader) as pooled:
            return await native(statement, POSTGRESQL).fetch(pooled.driver, values)

    async def system_glance(self, statement: Select[Any], values: Values) -> Rows:
        """Run one statement across accounts as `glance` does."""
        if self.is_sqlite:
            return await glance_at_sqlite(self._reader, statement, values)
        async with checked_out(self._system_reader) as pooled:
            return await native(statement, POSTGRESQL).fetch(pooled.driver, values)

    @asynccontextmanager
    async def snapshot(self, account_id: UUID) -> AsyncIterator[Transaction]:
        """Open a transaction that reads the account as it is at its first statement, however long it takes.

        A reading transaction of SQLite does so anyway.
        """
        if self.is_sqlite:
            async with self._reader.turn() as engine, engine.connect() as connection:
                yield Transaction(connection, account_id)
        else:
            async with begun(self._writer, account_id, begin=_SNAPSHOT) as pooled:
                yield Transaction(pooled, account_id)

    @asynccontextmanager
    async def system(self) -> AsyncIterator[SystemTransaction]:
        """Open a writing transaction across accounts."""
        if self.is_sqlite:
            async with begun_on_sqlite(self._writer) as pooled:
                yield SystemTransaction(pooled)
        else:
            async with self._system.turn() as engine, engine.begin() as connection:
                yield SystemTransaction(connection)

    @asynccontextmanager
    async def system_reading(self) -> AsyncIterator[SystemTransaction]:
        """Open what only reads across accounts, as `reading` does."""
        async with self._system_reader.turn() as engine, engine.connect() as connection:
            yield SystemTransaction(connection)

    @asynccontextmanager
    async def owning(self) -> AsyncIterator[SystemTransaction]:
        """Open a transaction as the owner of the tables, for `db/migrate.py`."""
        if self.is_sqlite:
            async with begun_on_sqlite(self._writer) as pooled:
                await pooled.connection.begin()  # or Alembic would take the transaction for its own
                yield SystemTransaction(pooled)
        else:
            async with self._owner.begin() as connection:
                yield SystemTransaction(connection)

    async def dispose(self) -> None:
        """Close every connection."""
        for pool in {self._writer, self._reader, self._system, self._system_reader}:
            await pool.dispose()
