"""Tells PostgreSQL whose rows a transaction may see (manual, chapter 5.9: row security policies).

The policies of `db/migrations/versions/0003_protection.py` compare each row's account with a setting of
the transaction. It is sent with the BEGIN, so it costs no round trip of its own.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import ColumnElement, Connection, Text, cast, func, literal_column, true
from sqlalchemy.exc import DBAPIError

from db.at_once import AtOnce, Hold, Lock
from db.errors import CommitInDoubtError
from db.native import NativeConnection, Rows, Values, faults
from db.pooled import Pool, Pooled, checked_out


def naming_account(account_id: ColumnElement[UUID]) -> ColumnElement[str]:
    """Return what names the account until the transaction ends. What is read before that is another's."""
    return func.set_config(literal_column("'app.account_id'"), cast(account_id, Text), true())


class AccountConnection(NativeConnection):
    """A connection each of whose transactions belongs to one account.

    A transaction begins with its first statement, whoever sends that: BEGIN, the account's name and locks go
    before it in one message.
    """

    _begin: str | None = None  #: what begins the transaction; None: it has begun
    _is_over = False  #: it was all in one message
    _may_make_functions = True  #: as far as is known

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 (the driver's)
        super().__init__(*args, **options)
        self._known: set[Lock | AtOnce] = set()  #: what the server has from this connection
        self._account_id: UUID | None = None
        self._locks: list[tuple[Lock, UUID]] = []  #: that go with the BEGIN

    def will_begin(self, account_id: UUID, begin: str) -> None:
        """Let the next statement begin a transaction of an account."""
        self._begin, self._account_id, self._is_over = begin, account_id, False
        self._locks.clear()

    async def begin(self) -> None:
        """Begin the transaction, unless it has begun."""
        if self._begin is None:
            return
        self._expect_not_over()
        locks = [await self._locking(lock, locked_id) for lock, locked_id in self._locks]
        # Not as a parameter: several statements in one message take none. A UUID prints as
        # hexadecimal digits and dashes, whatever it was made from.
        account = f"SET LOCAL app.account_id = '{UUID(str(self._account_id))}'"
        message, self._begin = ";".join([self._begin, account, *locks]), None
        with faults():
            await self.execute(message)

    async def lock(self, lock: Lock, locked_id: UUID) -> None:
        """Lock rows of the account, with the BEGIN if that is not sent."""
        if self.has_begun:
            statement = await self._locking(lock, locked_id)
            with faults():
                await self.execute(statement)
        else:
            self._locks.append((lock, locked_id))

    @property
    def has_begun(self) -> bool:
        """Whether the transaction has begun: not before its first statement."""
        return self._begin is None

    async def fetch_at_once(self, whole: AtOnce, held: Hold, values: Values) -> Rows:
        """Lock, run the statement and commit in one message, in place of the transaction that has not begun.

        Where it returns rows, the transaction is over. Where it returns none nothing was done: what was to be
        locked is not there, the statement changed nothing, or the role may make no functions here.

        Raises:
            CommitInDoubtError: as `commit`.
        """
        self._expect_not_over()
        stored = whole.statement.stored(values)
        with faults():
            if not await self._has(whole):
                return []
        with _committing():
            rows = await self.fetch(whole.call, *stored, self._account_id, *held.values)
        self._is_over = bool(rows)
        return whole.statement.loaded(rows)

    async def _has(self, whole: AtOnce) -> bool:
        """Make the function of a transaction where it is not made yet; tell whether it is there."""
        if whole not in self._known and self._may_make_functions:
            try:
                await whole.make(self)
            except asyncpg.InsufficientPrivilegeError:  # of making temporary things in the database
                self._may_make_functions = False  # and it is not asked again
            else:
                self._known.add(whole)
        return whole in self._known

    async def _locking(self, lock: Lock, locked_id: UUID) -> str:
        """Return the statement that locks."""
        if lock not in self._known:
            with faults():
                await self.execute(f"PREPARE {lock.name} (uuid, uuid) AS {lock.statement}")
            self._known.add(lock)
        return f"EXECUTE {lock.name} ('{UUID(str(self._account_id))}', '{UUID(str(locked_id))}')"

    def _end(self) -> bool:
        """Forget the transaction; tell whether it had begun, and has not ended by itself."""
        has_begun = self.has_begun
        self._begin, self._is_over = None, False
        return has_begun

    def _expect_not_over(self) -> None:
        if self._is_over:
            with faults():
                raise asyncpg.InterfaceError("the transaction was said to be all in one message")

    async def commit(self) -> None:
        """End the transaction, if it has begun.

        Raises:
            CommitInDoubtError: nobody knows whether what it did is stored.
            DBAPIError: what it did is lost.
        """
        if self._end():
            with _committing():
                ended = await self.execute("COMMIT")
            if ended != "COMMIT":  # PostgreSQL rolls back what has failed before
                with faults():
                    raise asyncpg.InterfaceError("a transaction that had failed was to be committed")

    async def roll_back(self) -> None:
        """End the transaction without effect, if it has begun."""
        # The driver may not know yet that it has begun: whoever waited for the BEGIN may have given up.
        if self._end():
            with faults():
                await self.execute("ROLLBACK")


class BoundConnection(NativeConnection):
    """A connection that shows the rows of one account, until it is bound to another.

    Each of its statements is a transaction by itself: there is no BEGIN that could name the
    account. So the account is named for the length of the connection, and a request of the
    account that a connection was bound to last costs one round trip.
    """

    _account_id: UUID | None = None

    async def bind(self, account_id: UUID) -> None:
        """Show the rows of this account from now on, and no others."""
        if account_id != self._account_id:
            self._account_id = None
            # Not as a parameter: a UUID prints as hexadecimal digits and dashes, whatever it was made from.
            with faults():
                await self.execute(f"SET app.account_id = '{UUID(str(account_id))}'")
            self._account_id = account_id


@asynccontextmanager
async def begun(pool: Pool, account_id: UUID, *, begin: str = "BEGIN") -> AsyncIterator[Pooled]:
    """Open a transaction of an account; commit at the end, roll back on any exception."""
    async with checked_out(pool) as pooled:
        driver: AccountConnection = pooled.driver
        driver.will_begin(account_id, begin)
        try:
            yield pooled
            await driver.commit()
        except Exception:
            if not pooled.is_lost:
                await _roll_back(pooled)
            raise


@contextmanager
def _committing() -> Iterator[None]:
    """Raise the driver's errors as `faults` does, and say where one leaves open what became of the COMMIT.

    What PostgreSQL says of a statement has failed it, even if it then hangs up. What the driver finds out
    before it sends one has kept it from being sent. A pooler between them may not know either.
    """
    try:
        with faults():
            yield
    except DBAPIError as error:
        fault = error.orig
        if isinstance(fault, asyncpg.InternalClientError):  # the driver has lost the thread
            raise CommitInDoubtError(None, None, fault, hide_parameters=True) from error
        while isinstance(fault, asyncpg.PostgresConnectionError):
            if not isinstance(fault.__cause__, asyncpg.PostgresError):
                raise CommitInDoubtError(None, None, fault, hide_parameters=True) from error
            fault = fault.__cause__
        raise


async def _roll_back(pooled: Pooled) -> None:
    try:
        await pooled.driver.roll_back()
    except BaseException:
        pooled.give_up()
        raise


def begin_with_account(connection: Connection) -> None:
    """Begin the transaction before SQLAlchemy's first statement in it."""
    connection.connection.run_async(lambda driver: driver.begin())
