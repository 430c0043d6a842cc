"""Statements that are built once and run often.

SQLAlchemy builds a statement's text from objects, and each value of a row from the driver's, at every run.
For the few statements that most requests run, that costs more than PostgreSQL needs to answer them. So these
are compiled once and go to the driver as text; what comes back is as the driver makes it. On SQLite they run
as every other statement does.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, cast
from uuid import UUID

import asyncpg
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql import asyncpg as dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

Rows = Sequence[Any]  #: each a sequence of the columns' values
Store = Callable[[Any], Any]  #: makes of a value what the driver is given
_DIALECT = dialect.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own


class Prepared:
    """A statement that reads. It names its values with `bindparam`, and has none that expands."""

    def __init__(self, statement: Select[Any]) -> None:
        self._statement = statement

    async def fetch(self, connection: AsyncConnection, values: Mapping[str, Any]) -> Rows:
        """Run it as every other statement is run."""
        rows: Rows = (await connection.execute(self._statement, dict(values))).all()
        return rows

    async def fetch_natively(self, connection: "BoundConnection", values: Mapping[str, Any]) -> Rows:
        """Run it past SQLAlchemy: the values of the rows come as the driver makes them."""
        query, parameters, constants = self._native
        given = {**constants, **values}
        return await connection.fetch(query, *[store(given[name]) for name, store in parameters])

    @cached_property
    def _native(self) -> "tuple[str, list[tuple[str, Store]], Mapping[str, Any]]":
        compiled = self._statement.compile(dialect=_DIALECT)
        stores = compiled._bind_processors
        parameters = [(name, stores.get(name, _as_it_is)) for name in compiled.positiontup or ()]
        return str(compiled), parameters, compiled.params


def _as_it_is(value: Any) -> Any:  # noqa: ANN401
    return value


class BoundConnection(asyncpg.Connection):
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
            await self.execute(f"SELECT set_config('app.account_id', '{UUID(str(account_id))}', false)")
            self._account_id = account_id


async def glance(
    engine: AsyncEngine, statement: Prepared, values: Mapping[str, Any], account_id: UUID | None
) -> Rows:
    """Run a statement on PostgreSQL in a transaction of its own, under an account or, with None, without."""
    pooled = await engine.raw_connection()
    try:
        connection = cast("BoundConnection", pooled.driver_connection)
        if account_id is not None:
            await connection.bind(account_id)
        return await statement.fetch_natively(connection, values)
    except BaseException:
        pooled.invalidate()
        raise
    finally:
        pooled.close()
