"""Tells PostgreSQL whose rows a transaction may see (manual, chapter 5.9: row security policies).

The policies of `db/migrations/versions/0003_protection.py` compare each row's account with a setting of
the transaction. It is sent with the BEGIN, so it costs no round trip of its own.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import Connection

from db.native import NativeConnection, faults
from db.pooled import Pool, Pooled, checked_out


@dataclass(frozen=True, slots=True)
class Lock:
    """A statement that locks rows, which nobody reads.

    It is prepared under its name, once for each connection: as part of a message with a BEGIN, which takes no
    parameters, it would be planned each time, and that takes twice as long as to run it.
    """

    name: str
    statement: str  #: $1 is the account, $2 what is locked, both UUIDs


class AccountConnection(NativeConnection):
    """A connection each of whose transactions belongs to one account.

    A transaction begins with its first statement, whoever sends that: BEGIN, the account's name and locks go
    before it in one message.
    """

    _first: list[str] | None = None  #: what the transaction begins with; None: it has begun

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 (the driver's)
        super().__init__(*args, **options)
        self._prepared: set[Lock] = set()

    def will_begin(self, account_id: UUID, begin: str) -> None:
        """Let the next statement begin a transaction of an account."""
        # Not as a parameter: several statements in one message take none. A UUID prints as
        # hexadecimal digits and dashes, whatever it was made from.
        self._first = [begin, f"SET LOCAL app.account_id = '{UUID(str(account_id))}'"]

    async def begin(self) -> None:
        """Begin the transaction, unless it has begun."""
        if self._first is not None:
            message, self._first = ";".join(self._first), None
            with faults():
                await self.execute(message)

    async def lock(self, lock: Lock, account_id: UUID, locked_id: UUID) -> None:
        """Lock rows, with the BEGIN if that is not sent."""
        if lock not in self._prepared:
            with faults():
                await self.execute(f"PREPARE {lock.name} (uuid, uuid) AS {lock.statement}")
            self._prepared.add(lock)
        statement = f"EXECUTE {lock.name} ('{UUID(str(account_id))}', '{UUID(str(locked_id))}')"
        if self._first is None:
            with faults():
                await self.execute(statement)
        else:
            self._first.append(statement)

    async def commit(self) -> None:
        """End the transaction, if it has begun.

        Raises:
            DBAPIError: what it did is lost.
        """
        if self._first is None:
            with faults():
                if await self.execute("COMMIT") != "COMMIT":  # PostgreSQL rolls back what has failed before
                    raise asyncpg.InterfaceError("a transaction that had failed was to be committed")

    async def roll_back(self) -> None:
        """End the transaction without effect, if it has begun."""
        # The driver may not know yet that it has begun: whoever waited for the BEGIN may have given up.
        if self._first is None:
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


async def _roll_back(pooled: Pooled) -> None:
    try:
        await pooled.driver.roll_back()
    except BaseException:
        pooled.give_up()
        raise


def begin_with_account(connection: Connection) -> None:
    """Begin the transaction before SQLAlchemy's first statement in it."""
    connection.connection.run_async(lambda driver: driver.begin())
