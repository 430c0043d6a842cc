"""Single statements that most requests run, past what SQLAlchemy does around each.

SQLAlchemy builds a statement's text from objects, and each value of a row from the driver's, at every run.
For the few statements that most requests run, that costs more than PostgreSQL needs to answer them. So these
are compiled once and go to the driver as text; what comes back is as the driver makes it. On SQLite they run
as every other statement does.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import cached_property
from typing import Any, cast
from uuid import UUID

import asyncpg
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql import asyncpg as dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.types import Named, Ranked

Rows = Sequence[Any]  #: each a sequence of the columns' values
Store = Callable[[Any], Any]  #: makes of a value what the driver is given
_DIALECT = dialect.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own


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

    async def fetch_natively(self, connection: "BoundConnection", values: Mapping[str, Any]) -> Rows:
        """Run it past SQLAlchemy. Words and ranks become members of their sets; all else is the driver's."""
        query, parameters, constants = self._native
        given = {**constants, **values}
        rows = await connection.fetch(query, *[store(given[name]) for name, store in parameters])
        return [self._typed(row) for row in rows] if self._members else rows

    def _typed(self, row: Iterable[Any]) -> list[Any]:
        values = list(row)
        for place, members in self._members:
            if values[place] is not None:
                values[place] = members(values[place])
        return values

    @cached_property
    def _members(self) -> list[tuple[int, type[Enum]]]:
        kinds = enumerate(column.type for column in self._statement.selected_columns)
        return [(place, kind.members) for place, kind in kinds if isinstance(kind, Named | Ranked)]

    @cached_property
    def _native(self) -> tuple[str, list[tuple[str, Store]], Mapping[str, Any]]:
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


async def bind(connection: AsyncConnection, account_id: UUID) -> None:
    """Show the rows of this account on a connection of SQLAlchemy's, and no others."""
    pooled = await connection.get_raw_connection()
    await cast("BoundConnection", pooled.driver_connection).bind(account_id)


async def glance(
    engine: AsyncEngine, statement: Glance, values: Mapping[str, Any], account_id: UUID | None
) -> Rows:
    """Run a statement on PostgreSQL in a transaction of its own, under an account or, with None, without.

    Raises:
        DBAPIError: as for any other statement. The connection is given up.
    """
    pooled = await engine.raw_connection()
    try:
        connection = cast("BoundConnection", pooled.driver_connection)
        if account_id is not None:
            await connection.bind(account_id)
        return await statement.fetch_natively(connection, values)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        pooled.invalidate()
        raise DBAPIError(None, None, error, hide_parameters=True) from error
    except BaseException:
        pooled.invalidate()
        raise
    finally:
        pooled.close()
