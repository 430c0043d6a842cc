"""SQLite's connections, and the transactions of the one that writes.

Every statement that is left to the driver's thread changes threads twice, and takes Python's lock again after
each step of SQLite's. In a busy process each of these waits until the other thread lets go: a move of eight
statements, a tenth of a millisecond of SQLite's work, took several there, while nobody else could write. So
BEGIN, what is built once (`db/prepared.py`) and COMMIT run where they are asked for, on the event loop's own
thread. None of them waits for anything, and nobody can be cancelled amid them.

What may last does not run there: while another process writes, BEGIN is tried again after pauses; the
checkpoint, which waits for the disk, and SQLAlchemy's statements have the driver's thread.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import repeat
from typing import Any, cast
from weakref import WeakSet

import aiosqlite
from sqlalchemy import Connection, Select

from db.conversions import SQLITE
from db.native import Native, Rows, Values, faults, native
from db.pooled import Pool, Pooled, check_out

#: Seconds between two attempts to begin while another process writes, 10 in all, as SQLite's own would wait.
_PAUSES = (0.001, 0.002, 0.005, 0.01, *repeat(0.025, 399))
#: Rows that are changed between two checkpoints: each leaves a few pages of 4 KB in the file `-wal`.
_ROWS_BETWEEN_CHECKPOINTS = 1000
#: Rows that are stored in one step of the event loop: some milliseconds.
_ROWS_AT_ONCE = 100


class FileConnection(sqlite3.Connection):
    """A connection to SQLite whose locks end with it.

    Python's own leaves the file locked while anybody holds a cursor that was not read to its end, as the
    traceback of whoever was cancelled does: SQLite closes a connection after its statements (Python 3.11).
    """

    def __init__(self, database: str, *args: Any, **options: Any) -> None:  # noqa: ANN401 (the driver's)
        _make_private(database)
        super().__init__(database, *args, **options)
        self._cursors: WeakSet[sqlite3.Cursor] = WeakSet()

    def cursor(self, *args: Any) -> Any:  # noqa: ANN401 (the driver's)
        """Make a cursor for SQLAlchemy. What is fetched in one visit has its own, and reads it to the end."""
        made = super().cursor(*args)
        self._cursors.add(made)
        return made

    def close(self) -> None:
        """End what runs, roll back, and close the file."""
        for cursor in list(self._cursors):
            cursor.close()
        super().close()


def _make_private(database: str) -> None:
    """Make the file, for its owner alone; SQLite gives what it puts beside it the same mode.

    One that is there is left alone, and not even opened: to close it would take the locks away that this
    process holds on it. What else is wrong SQLite says itself.
    """
    with suppress(OSError):
        os.close(os.open(database, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


class WritingConnection(FileConnection):
    """The connection that writes, one transaction after another. Each begins with its first statement.

    As on PostgreSQL, a transaction one of whose statements has failed can only be rolled back: SQLite itself
    would keep what the others did, and where the disk is full it rolls back without being asked.
    """

    _has_begun = False
    _has_failed = False
    #: Rows changed on this connection until the last checkpoint; others may have left something before it.
    _changes_in_file = -_ROWS_BETWEEN_CHECKPOINTS

    @property
    def is_checkpoint_due(self) -> bool:
        """Whether the changes since the last checkpoint are to be moved into the database file."""
        return self.total_changes - self._changes_in_file >= _ROWS_BETWEEN_CHECKPOINTS

    def cursor(self, *args: Any) -> Any:  # noqa: ANN401 (the driver's)
        """Make a cursor for SQLAlchemy, unless the transaction has failed: what follows would be kept."""
        if self._has_begun:
            self._expect_sound()
        return super().cursor(*args)

    async def begin(self) -> None:
        """Begin the transaction, unless it has begun; wait while another process writes.

        Raises:
            DBAPIError: another process wrote for 10 seconds, or a statement of the transaction has failed.
        """
        if self._has_begun:
            self._expect_sound()
        else:
            with faults():
                await self._begin_patiently()
            self._has_begun = True

    async def fetch(self, statement: Native, values: Values) -> Rows:
        """Run a statement in the transaction, and return its rows; as `Native.fetch`."""
        await self.begin()
        with self._failing():
            return statement.fetch_here(self, values)

    async def run_for_each(self, statement: Native, each: Sequence[Values]) -> None:
        """Run a statement that returns nothing in the transaction, for any number of values.

        Between so many and the next, the event loop has its turn.
        """
        await self.begin()
        with self._failing():
            for first in range(0, len(each), _ROWS_AT_ONCE):
                if first:
                    await asyncio.sleep(0)
                statement.run_here(self, each[first : first + _ROWS_AT_ONCE])

    def commit(self) -> None:
        """End the transaction, if it has begun.

        Raises:
            DBAPIError: what it did is lost.
        """
        if self._has_begun:
            self._expect_sound()
            with faults():
                self.execute("COMMIT")
            self._has_begun = False

    def roll_back(self) -> None:
        """End the transaction without effect, if it has begun."""
        self._has_begun = self._has_failed = False
        if self.in_transaction:
            with faults():
                self.execute("ROLLBACK")

    def has_checkpointed(self) -> None:
        """Count the changes anew."""
        self._changes_in_file = self.total_changes

    async def _begin_patiently(self) -> None:
        for pause in (*_PAUSES, None):
            try:
                self.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if pause is None or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                await asyncio.sleep(pause)
            else:
                return

    def _expect_sound(self) -> None:
        if self._has_failed or not self.in_transaction:
            with faults():
                raise sqlite3.OperationalError("a statement of the transaction had failed")

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._has_failed = True
            raise


class Writing(Pooled):
    """The connection to SQLite that writes, in use, and where somebody needs that, as SQLAlchemy's own."""

    @property
    def driver(self) -> WritingConnection:
        """Python's own connection.

        Raises:
            DBAPIError: it was given up: the driver's thread may still run a statement of it.
        """
        if self.is_given_up:
            with faults():
                raise sqlite3.InterfaceError("the connection was given up")
        return _of_python(self._threaded)

    @property
    def is_lost(self) -> bool:
        """Whether the connection was given up, or has a transaction open that is nobody's."""
        return self.is_given_up or self.driver.in_transaction

    async def check_point(self) -> None:
        """Move what was committed into the database file, where that is due: it waits for the disk.

        So does the first commit after it, with which the file `-wal` begins anew: this is one of no change.
        """
        driver = self.driver
        if driver.is_checkpoint_due:
            try:
                with faults():
                    await self._threaded.execute_fetchall("PRAGMA wal_checkpoint(PASSIVE)")
                    with suppress(sqlite3.OperationalError):  # another process writes, and waits for the disk
                        await self._threaded.execute_fetchall("PRAGMA user_version = 0")
            except asyncio.CancelledError:
                await self.connection.invalidate()  # when its thread has done what it is doing
                raise
            driver.has_checkpointed()

    @property
    def _threaded(self) -> aiosqlite.Connection:
        return cast("aiosqlite.Connection", self._pooled.driver_connection)


@asynccontextmanager
async def begun_on_sqlite(pool: Pool) -> AsyncIterator[Writing]:
    """Open a transaction that writes; commit at the end, roll back on any exception."""
    await asyncio.sleep(0)  # it may wait for nothing: others have their turn between one and the next
    writing = await check_out(pool, Writing)
    try:
        await writing.check_point()
        yield writing
        writing.driver.commit()
    except BaseException:
        # SQLAlchemy gives the connection up where its statement was cancelled. Otherwise the thread rests.
        if not writing.is_given_up:
            writing.driver.roll_back()
        raise
    finally:
        writing.give_back()


def begin_writing(connection: Connection) -> None:
    """Begin the transaction before SQLAlchemy's first statement in it."""
    connection.connection.run_async(lambda driver: _of_python(driver).begin())


async def glance_at_sqlite(pool: Pool, statement: Select[Any], values: Values) -> Rows:
    """Run one statement that reads on SQLite, in a transaction of its own.

    Whoever leaves meanwhile leaves nothing behind but a read, which ends before the next statement begins.
    """
    async with pool.turn() as engine:
        pooled = await engine.raw_connection()
        try:
            driver = cast("aiosqlite.Connection", pooled.driver_connection)
            return await native(statement, SQLITE).fetch_on_sqlite(driver, values)
        finally:
            pooled.close()


def _of_python(driver: aiosqlite.Connection) -> WritingConnection:
    """Return the connection below the driver's, for which the driver has no public name (0.22.1)."""
    return cast("WritingConnection", driver._conn)
