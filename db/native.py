"""Statements past what SQLAlchemy does around each.

SQLAlchemy builds a statement's text from objects, and each value of a row from the driver's, at every run.
For a statement that is run again and again that costs more than the database needs to answer it; on SQLite,
where the driver has a thread, each run is four visits to it as well. So such statements are built once,
compiled once, and go to the driver as text, in one visit: in a transaction that writes, in none.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, cast

import aiosqlite
import asyncpg
from sqlalchemy import BindParameter, Dialect, Executable
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.sql.visitors import ExternallyTraversible, replacement_traverse

from db.conversions import POSTGRESQL, SQLITE, Convert, converted, loads_of, store_of
from db.types import Named

Rows = Sequence[Any]  #: each a sequence of the columns' values
Values = Mapping[str, Any]


class NativeConnection(asyncpg.Connection):
    """A connection of the driver on which such statements run."""

    async def begin(self) -> None:
        """Begin the transaction of the next statement, where it is not one by itself and has not begun."""


class Native:
    """A statement as a driver takes it. It names its values with `bindparam`, and none is a list for IN."""

    def __init__(self, statement: Executable, dialect: Dialect = POSTGRESQL) -> None:
        built: Any = _with_names_in_text(statement) if dialect is SQLITE else statement
        compiled: Any = built.compile(dialect=dialect)
        later = {name: each.type for name, each in compiled.binds.items() if each.required}
        expanded = compiled.construct_expanded_state(dict.fromkeys(later))  # constants of an IN one by one
        theirs: Mapping[str, Convert] = {**compiled._bind_processors, **expanded.processors}
        stores = {name: store_of(kind, dialect, theirs.get(name)) for name, kind in later.items()}
        constants = {name: each for name, each in expanded.parameters.items() if name not in later}
        self.text: str = expanded.statement  #: with a place for each value
        self._constants = {name: _stored(each, theirs.get(name)) for name, each in constants.items()}
        self._parameters = [(name, stores.get(name)) for name in expanded.positiontup or ()]
        shown = getattr(statement, "exported_columns", ())
        self._loads = loads_of((column.type for column in shown), dialect)

    async def fetch(self, connection: NativeConnection, values: Values) -> Rows:
        """Run it on PostgreSQL and return its rows.

        Raises:
            IntegrityError, DBAPIError: as SQLAlchemy does.
            KeyError: a value is not given.
        """
        stored = self.stored(values)
        await connection.begin()
        with faults():
            return self.loaded(await connection.fetch(self.text, *stored))

    async def fetch_on_sqlite(self, connection: aiosqlite.Connection, values: Values) -> Rows:
        """Run it on SQLite, on the driver's thread; as `fetch`."""
        with faults():
            return self.loaded(await connection.execute_fetchall(self.text, self.stored(values)))

    def fetch_here(self, connection: sqlite3.Connection, values: Values) -> Rows:
        """Run it on SQLite, on this thread, and return its rows; as `fetch`."""
        with faults():
            return self.loaded(connection.execute(self.text, self.stored(values)).fetchall())

    def run_here(self, connection: sqlite3.Connection, each: Iterable[Values]) -> None:
        """Run it on SQLite, on this thread, for any number of values; as `fetch`."""
        with faults():
            connection.executemany(self.text, map(self.stored, each))

    @property
    def width(self) -> int:
        """How many places it has."""
        return len(self._parameters)

    def stored(self, values: Values) -> list[Any]:
        """Return the values as the driver takes them, in the order of their places.

        Raises:
            KeyError: one is not given.
        """
        given = {**self._constants, **values}
        return [given[name] if store is None else store(given[name]) for name, store in self._parameters]

    def loaded(self, rows: Iterable[Any]) -> Rows:
        """Return the driver's rows with our values."""
        return converted(rows, self._loads) if self._loads else list(rows)


def _stored(value: object, store: Convert | None) -> object:
    return value if store is None else store(value)


@lru_cache(2048)
def native(statement: Executable, dialect: Dialect) -> Native:
    """Return a statement as the driver takes it; known again by the very object."""
    return Native(statement, dialect)


@contextmanager
def faults() -> Iterator[None]:
    """Raise the driver's errors as SQLAlchemy does."""
    try:
        yield
    except (asyncpg.IntegrityConstraintViolationError, sqlite3.IntegrityError) as error:
        raise IntegrityError(None, None, error, hide_parameters=True) from error
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        sqlite3.Error,
    ) as error:
        raise DBAPIError(None, None, error, hide_parameters=True) from error


def _with_names_in_text(statement: Executable) -> ExternallyTraversible:
    """Return the statement with the constants that are names, as states are, in its text.

    SQLite plans a statement anew at each run where an index holds the rows of some states only, and the state
    that is asked for is a parameter: it may be another one this time (3.40; that took 65 of 70 microseconds).
    """

    def in_text(element: ExternallyTraversible, **_: object) -> BindParameter[Any] | None:
        if isinstance(element, BindParameter) and isinstance(element.type, Named) and not element.required:
            return element.render_literal_execute()
        return None

    return replacement_traverse(cast("ExternallyTraversible", statement), {}, in_text)
