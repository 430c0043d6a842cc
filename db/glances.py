"""Single statements that most requests run, each in a transaction of its own.

On PostgreSQL they go past SQLAlchemy (`db/native.py`); on SQLite they run as every other statement does.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any
from uuid import UUID

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.native import Native, NativeConnection, Rows, checked_out, faults


class Glance:
    """A statement that reads. It names its values with `bindparam`.

    A statement that passes a list names it in PostgreSQL's way (`= ANY`), and has a twin for SQLite.
    """

    def __init__(self, statement: Select[Any], *, on_sqlite: Select[Any] | None = None) -> None:
        self._statement = statement
        self._on_sqlite = statement if on_sqlite is None else on_sqlite

    async def fetch(self, connection: AsyncConnection, values: Mapping[str, Any]) -> Rows:
        """Run it as every other statement is run."""
        rows: Rows = (await connection.execute(self._on_sqlite, dict(values))).all()
        return rows

    @cached_property
    def native(self) -> Native:
        """The statement as PostgreSQL's driver takes it."""
        return Native(self._statement)


class BoundConnection(NativeConnection):
    """A connection that shows the rows of one account, until it is bound to another.

    Each of its statements is a transaction by itself: there is no BEGIN that could name the account
    (`db/row_security.py`). So the account is named for the length of the connection, and a request of the
    account that a connection was bound to last costs one round trip.
    """

    _account_id: UUID | None = None

    async def bind(self, account_id: UUID) -> None:
        """Show the rows of this account from now on, and no others."""
        if account_id != self._account_id:
            self._account_id = None
            # Not as a parameter: a UUID prints as hexadecimal digits and dashes, whatever it was made from.
            with faults():
                await self.execute(f"SELECT set_config('app.account_id', '{UUID(str(account_id))}', false)")
            self._account_id = account_id


async def glance(
    engine: AsyncEngine, statement: Glance, values: Mapping[str, Any], account_id: UUID | None
) -> Rows:
    """Run a statement on PostgreSQL in a transaction of its own, under an account or, with None, without.

    Raises:
        DBAPIError: as for any other statement.
    """
    async with checked_out(engine) as pooled:
        if account_id is not None:
            await pooled.driver.bind(account_id)
        return await statement.native.fetch(pooled.driver, values)
