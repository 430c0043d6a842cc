"""Tells PostgreSQL whose rows a transaction may see (manual, chapter 5.9: row security policies).

The policies of `db/migrations/versions/0003_protection.py` compare each row's account with a setting of
the transaction. It is sent with the BEGIN, so it costs no round trip of its own.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast
from uuid import UUID

import asyncpg
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import PoolProxiedConnection

from db.native import NativeConnection, faults


class AccountConnection(NativeConnection):
    """A connection each of whose transactions belongs to one account.

    A transaction begins with its first statement, whoever sends that: BEGIN, the account's name and locks go
    before it in one message.
    """

    _first: list[str] | None = None  #: what the transaction begins with; None: it has begun

    def will_begin(self, account_id: UUID, begin: str) -> None:
        """Let the next statement begin a transaction of an account."""
        # Not as a parameter: several statements in one message take none. A UUID prints as
        # hexadecimal digits and dashes, whatever it was made from.
        self._first = [begin, f"SELECT set_config('app.account_id', '{UUID(str(account_id))}', true)"]

    async def begin(self) -> None:
        """Begin the transaction, unless it has begun."""
        if self._first is not None:
            message, self._first = ";".join(self._first), None
            with faults():
                await self.execute(message)

    async def lock(self, statement: str) -> None:
        """Run a statement without parameters whose rows nobody reads, with the BEGIN if that is not sent."""
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
        if self._first is None and self.is_in_transaction():
            await self.execute("ROLLBACK")


@asynccontextmanager
async def begun(
    engine: AsyncEngine, account_id: UUID, *, begin: str = "BEGIN"
) -> AsyncIterator[tuple[AsyncConnection, AccountConnection]]:
    """Open a transaction of an account; commit at the end, roll back on any exception.

    Give its connection in two forms. Both run their statements in the transaction.
    """
    pooled = await engine.raw_connection()
    driver = cast("AccountConnection", pooled.driver_connection)
    driver.will_begin(account_id, begin)
    try:
        sync = Connection(engine.sync_engine, connection=pooled)
        yield AsyncConnection(engine, sync), driver
        await driver.commit()
    except BaseException as error:
        await _give_up(pooled, driver, error)
        raise
    finally:
        pooled.close()


def begin_with_account(connection: Connection) -> None:
    """Begin the transaction before SQLAlchemy's first statement in it."""
    connection.connection.run_async(lambda driver: driver.begin())


async def _give_up(pooled: PoolProxiedConnection, driver: AccountConnection, error: BaseException) -> None:
    """Roll back; where nobody knows what the connection is doing, end it.

    Whoever waited for a lock and was cancelled leaves a statement behind that still runs.
    """
    if not pooled.is_valid:
        return  # SQLAlchemy has given it up
    if not isinstance(error, Exception) or driver.is_closed():
        pooled.invalidate()
        return
    try:
        await driver.roll_back()
    except BaseException as failure:
        pooled.invalidate()
        if not isinstance(failure, Exception):
            raise
