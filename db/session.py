"""How the service reaches its database: two engines, one code, one transaction per entry point.

    async with database.transaction(account_id) as tx:   # a mutation, a command, a job
        ...
    async with database.reading(account_id) as tx:       # a query
    async with database.snapshot(account_id) as tx:      # many queries that have to agree

Functions in db/ take the transaction and with it its account: a statement about an account cannot be
called without naming one. Only `db/system.py` crosses accounts; it takes a `SystemTransaction`. On
PostgreSQL row-level security holds the same line again, below every statement.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Column, ColumnElement, Connection, Engine, Executable, FromClause, Table, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool
from uuid_utils.compat import uuid7

from db.glances import BoundConnection, Glance, Rows, bind, glance
from db.row_security import AccountConnection, Beginning, as_account

R = TypeVar("R")

_DRIVERS = {
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
}


@dataclass(slots=True)
class SystemTransaction:
    """An open transaction that belongs to no account."""

    connection: AsyncConnection

    @property
    def is_postgresql(self) -> bool:
        """Whether statements may use what SQLite lacks."""
        return self.connection.dialect.name == "postgresql"

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
    #: The highest event number written so far in this transaction; 0 when none was.
    event_sequence: int = 0
    #: What goes with the BEGIN; None where nothing can be added to it.
    beginning: Beginning | None = None

    async def lock(self, statement: str) -> None:
        """Run a statement without parameters that locks rows, on PostgreSQL: SQLite has locked everything.

        It goes with the BEGIN where the transaction has not begun. What is read after it is as those left it
        who held the rows before.
        """
        if not self.is_postgresql:
            return
        if self.beginning is None or self.beginning.is_sent:
            await self.connection.exec_driver_sql(statement)
        else:
            self.beginning.first.append(statement)

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
    """The engines of one process. `on_commit` hears (account, highest event number) after each commit."""

    def __init__(self, url: str) -> None:
        address = _address(url)
        self.is_sqlite = address.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._writer, self._reader = _sqlite_engines(address)
            self._owner = self._system = self._writer
            self._system_reader = self._reader
            self._snapshots = self._reader
        else:
            self._writer = self._snapshots = _postgresql_engine(address, role="handoff_app")
            self._reader = _postgresql_reader(address, role="handoff_app")
            self._system = _postgresql_engine(address, role="handoff_worker")
            self._system_reader = _postgresql_reader(address, role="handoff_worker")
            self._owner = create_async_engine(address, poolclass=NullPool)
        self.on_commit: list[Callable[[UUID, int], None]] = []

    @asynccontextmanager
    async def transaction(self, account_id: UUID) -> AsyncIterator[Transaction]:
        """Open the one transaction of an entry point; commit at its end, roll back on any exception."""
        with as_account(account_id) as beginning:
            async with self._writer.begin() as connection:
                tx = Transaction(connection, account_id, beginning=beginning)
                yield tx
        if tx.event_sequence:
            for hear in self.on_commit:
                hear(account_id, tx.event_sequence)

    @asynccontextmanager
    async def reading(self, account_id: UUID) -> AsyncIterator[Transaction]:
        """Open what only reads.

        On PostgreSQL each statement is a transaction by itself, which sees what was committed before it: as
        it would in one transaction of READ COMMITTED, without the round trips to begin and to end that.
        """
        async with self._reader.connect() as connection:
            if not self.is_sqlite:
                await bind(connection, account_id)
            yield Transaction(connection, account_id)

    async def glance(self, account_id: UUID, statement: Glance, values: Mapping[str, Any]) -> Rows:
        """Run one statement that reads, in a transaction of its own."""
        if not self.is_sqlite:
            return await glance(self._reader, statement, values, account_id)
        async with self.reading(account_id) as tx:
            return await statement.fetch(tx.connection, values)

    async def system_glance(self, statement: Glance, values: Mapping[str, Any]) -> Rows:
        """Run one statement across accounts that reads, for the functions of `db/system.py`."""
        if not self.is_sqlite:
            return await glance(self._system_reader, statement, values, None)
        async with self.system_reading() as tx:
            return await statement.fetch(tx.connection, values)

    @asynccontextmanager
    async def snapshot(self, account_id: UUID) -> AsyncIterator[Transaction]:
        """Open a transaction that reads the account as it is at its first statement, however long it takes.

        A reading transaction of SQLite does so anyway.
        """
        with as_account(account_id):
            async with self._snapshots.connect() as connection:
                if not self.is_sqlite:
                    await connection.execution_options(
                        isolation_level="REPEATABLE READ", postgresql_readonly=True
                    )
                yield Transaction(connection, account_id)

    @asynccontextmanager
    async def system(self) -> AsyncIterator[SystemTransaction]:
        """Open a writing transaction across accounts, for the functions of `db/system.py`."""
        async with self._system.begin() as connection:
            yield SystemTransaction(connection)

    @asynccontextmanager
    async def system_reading(self) -> AsyncIterator[SystemTransaction]:
        """Open what only reads across accounts, for the functions of `db/system.py`; as `reading` does."""
        async with self._system_reader.connect() as connection:
            yield SystemTransaction(connection)

    @asynccontextmanager
    async def owning(self) -> AsyncIterator[SystemTransaction]:
        """Open a transaction as the owner of the tables, for `db/migrate.py`."""
        async with self._owner.begin() as connection:
            yield SystemTransaction(connection)

    async def dispose(self) -> None:
        """Close every connection."""
        for engine in {self._writer, self._reader, self._system, self._system_reader, self._owner}:
            await engine.dispose()


def _address(url: str) -> URL:
    """Parse a database URL and choose its driver.

    Raises:
        ValueError: it names no engine that the service runs on. The sentence holds no password.
    """
    try:
        address = make_url(url)
    except ArgumentError:
        raise ValueError("the database URL cannot be read; write postgresql://… or sqlite:///file") from None
    backend = address.drivername.partition("+")[0]
    if backend not in _DRIVERS:
        raise ValueError(f"the service runs on postgresql:// and sqlite:///, not on {backend}://")
    if backend == "sqlite" and address.database in (None, "", ":memory:"):
        raise ValueError("the SQLite database is kept in a file; write sqlite:///file")
    return address.set(drivername=_DRIVERS[backend])


def _postgresql_engine(address: URL, *, role: str) -> AsyncEngine:
    """Make an engine whose connections take the role, which row-level security binds, for good."""
    return create_async_engine(
        address,
        pool_size=15,
        max_overflow=0,  # those beyond the size would be opened for one transaction each
        pool_timeout=10,
        # Compiling a statement to machine code takes longer than any statement here takes without.
        connect_args={
            "server_settings": {"role": role, "jit": "off"},
            "connection_class": AccountConnection,
        },
        hide_parameters=True,  # an error is logged; notes and addresses are not
    )


def _postgresql_reader(address: URL, *, role: str) -> AsyncEngine:
    """Make an engine whose statements are transactions by themselves, for what only reads."""
    return create_async_engine(
        address,
        isolation_level="AUTOCOMMIT",
        pool_size=10,
        max_overflow=0,
        pool_timeout=10,
        pool_use_lifo=True,  # the one used last is the likeliest to show the account already
        connect_args={
            "server_settings": {"role": role, "jit": "off"},
            "connection_class": BoundConnection,
        },
        hide_parameters=True,
    )


def _sqlite_engines(address: URL) -> tuple[AsyncEngine, AsyncEngine]:
    """Make one connection that writes and a few that read.

    SQLite has one writer at a time anyway. With one connection the writers wait in a fair queue here:
    with many, each busy-waits in the file, and the slowest waited six times longer (measured).
    """
    if address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    writer = create_async_engine(address, pool_size=1, max_overflow=0, pool_timeout=60, hide_parameters=True)
    reader = create_async_engine(address, pool_size=4, max_overflow=0, pool_timeout=60, hide_parameters=True)
    for engine, begin in ((writer, "BEGIN IMMEDIATE"), (reader, "BEGIN")):
        _set_up_sqlite(engine.sync_engine, begin)
    return writer, reader


def _set_up_sqlite(engine: Engine, begin: str) -> None:
    """Take transactions out of the driver's hands and switch on what SQLite leaves off.

    The driver opens a transaction only at the first write: what was read before may have changed by
    then, and 470 of 500 concurrent updates were lost without an error (aiosqlite 0.22).
    """

    def connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=10000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", connect)
    event.listen(engine, "begin", start)
