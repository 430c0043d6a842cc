"""Statements that are built once a process, and asked with values.

To build a statement with SQLAlchemy and to find its text takes longer than PostgreSQL takes to answer it.
What runs often is therefore built once, with `value`s in the places of values, and several reads are sent as
one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Dialect,
    Executable,
    FromClause,
    Insert,
    Select,
    Table,
    Uuid,
    bindparam,
    column,
    func,
    insert,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine, UserDefinedType

from db.at_once import Hold, at_once
from db.conversions import POSTGRESQL, SQLITE, converted, loads_of
from db.native import Rows, Values, native
from db.row_security import AccountConnection, naming_account
from db.session import Database, Transaction
from db.types import IdList, is_listed

R = TypeVar("R")


def value(name: str, of: ColumnElement[Any] | TypeEngine[Any]) -> BindParameter[Any]:
    """Return the place of a value that is given when the statement runs, of the type of a column.

    SQLAlchemy takes a parameter that is named like a column of the changed table for a change of that
    column, so none is (2.1.9).
    """
    return bindparam(f"_{name}", type_=of if isinstance(of, TypeEngine) else of.type)


def own(table: FromClause) -> ColumnElement[bool]:
    """Return the condition that a row belongs to the transaction's account, as `Transaction.own` does."""
    return table.c.account_id == ACCOUNT


def listed(column: ColumnElement[UUID]) -> ColumnElement[bool]:
    """Return the condition that a column is among the value `ids`."""
    return is_listed(column, value("ids", IdList()))


#: The account of the transaction in which a statement runs; given by itself.
ACCOUNT = value("account_id", Uuid())


@dataclass(frozen=True, slots=True)
class Ask(Generic[R]):
    """A read with its values."""

    statement: Select[Any]  #: built once: the very object is known again
    row: Callable[..., R]  #: takes the columns
    values: Values


async def run(tx: Transaction, statement: Executable, values: Values) -> Rows:
    """Run a statement that was built once, and return its rows."""
    given = _given(tx, values)
    if (writer := tx.writer) is not None:
        return await writer.fetch(native(statement, SQLITE), given)
    if tx.driver is not None:
        return await native(statement, POSTGRESQL).fetch(tx.driver, given)
    return await native(statement, SQLITE).fetch_on_sqlite(await tx.sqlite_driver(), given)


async def run_alone(tx: Transaction, hold: Hold, statement: Executable, values: Values) -> Rows:
    """Run a statement that is, with the lock before it, all that the transaction does, and commit.

    On PostgreSQL that is one message. Where it returns rows, nothing may follow. Where it returns none,
    nothing was done, and all may be tried step by step: also where the transaction has begun, and on SQLite.
    """
    driver = tx.driver
    if not isinstance(driver, AccountConnection) or driver.has_begun:
        return []
    return await driver.fetch_at_once(at_once(hold.lock, statement), hold, _given(tx, values))


async def fetch(tx: Transaction, ask: Ask[R]) -> list[R]:
    """Return the rows of one read."""
    return [ask.row(*row) for row in await run(tx, ask.statement, ask.values)]


async def fetch_together(tx: Transaction, *asks: Ask[Any]) -> list[list[Any]]:
    """Return the rows of each read; on PostgreSQL all come in one message, as of one instant.

    Values of the same name are the same to all.
    """
    if not tx.is_postgresql:
        return [await fetch(tx, ask) for ask in asks]
    together = _together(*(ask.statement for ask in asks))
    return _apart(asks, await run(tx, together, merged(ask.values for ask in asks)))


async def glance_together(database: Database, account_id: UUID, *asks: Ask[Any]) -> list[list[Any]]:
    """Return the rows of each read, as `fetch_together` in a transaction of their own. PostgreSQL's alone.

    The statement names its account to row-level security itself: it is one message, whichever account the
    connection has shown before.
    """
    together = _together(*(ask.statement for ask in asks), names_account=True)
    values = {"_account_id": account_id, **_named(merged(ask.values for ask in asks))}
    return _apart(asks, await database.glance_by_name(together, values))


def _apart(asks: Sequence[Ask[Any]], rows: Rows) -> list[list[Any]]:
    (found,) = rows
    return [[ask.row(*row) for row in rows or ()] for ask, rows in zip(asks, found, strict=True)]


async def add_rows(tx: Transaction, table: Table, same: Values, each: Sequence[Values]) -> None:
    """Insert any number of rows by one statement.

    Args:
        tx: The transaction.
        table: Where to.
        same: The columns in which the rows agree.
        each: The other columns of each row, the same ones for all.
    """
    if not each:
        return
    if (writer := tx.writer) is not None:
        statement = native(_insert_of_row(table, (*same, *each[0])), SQLITE)
        agreed = _given(tx, same)
        await writer.run_for_each(statement, [{**agreed, **_named(row)} for row in each])
    else:
        await run(tx, insert_of_rows(table, tuple(same), tuple(each[0])), values_of_rows(table, same, each))


@lru_cache
def _insert_of_row(table: Table, columns: tuple[str, ...]) -> Insert:
    return insert(table).values(account_id=ACCOUNT, **{name: value(name, table.c[name]) for name in columns})


def _given(tx: Transaction, values: Values) -> dict[str, Any]:
    return {"_account_id": tx.account_id, **_named(values)}


def _named(values: Values) -> dict[str, Any]:
    return {f"_{name}": each for name, each in values.items()}


@lru_cache
def insert_of_rows(table: Table, same: tuple[str, ...], each: tuple[str, ...]) -> Insert:
    """Return the statement that inserts what `values_of_rows` returns. PostgreSQL's alone."""
    arrays = [value(f"{table.name}_{name}", ARRAY(table.c[name].type)) for name in each]
    rows = func.unnest(*arrays).table_valued(*(column(name, table.c[name].type) for name in each))
    rows = rows.render_derived()
    agreed = [value(f"{table.name}_{name}", table.c[name]) for name in same]
    source = select(ACCOUNT, *agreed, *(rows.c[name] for name in each))
    return insert(table).from_select(["account_id", *same, *each], source)


def values_of_rows(table: Table, same: Values, each: Sequence[Values]) -> dict[str, Any]:
    """Return the values of rows, those that differ as one array for each column."""
    arrays = {name: [row[name] for row in each] for name in each[0]}
    return {f"{table.name}_{name}": given for name, given in (*same.items(), *arrays.items())}


def merged(given: Iterable[Values]) -> dict[str, Any]:
    """Return the values of several statements that are run as one.

    Raises:
        ValueError: two give different values for one name.
    """
    together: dict[str, Any] = {}
    for values in given:
        for name, each in values.items():
            if together.setdefault(name, each) != each:
                raise ValueError(f"there are two values for {name}")
    return together


class _Records(UserDefinedType[list[Any]]):
    """An array of rows, each a tuple of columns of these types."""

    cache_ok = True

    def __init__(self, types: tuple[TypeEngine[Any], ...]) -> None:
        self.types = types

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], list[Any]]:
        """Convert each column as if it came by itself. PostgreSQL's alone."""
        loads = loads_of(self.types)
        return lambda rows: converted(rows or (), loads)


@lru_cache
def _together(*statements: Select[Any], names_account: bool = False) -> Select[Any]:
    if not names_account:
        return select(*(_rows_of(statement) for statement in statements))
    naming = select(naming_account(ACCOUNT).label("name")).cte("account").prefix_with("MATERIALIZED")
    is_named = naming.c.name.is_not(None)
    return select(*(_rows_of(statement, is_named) for statement in statements)).select_from(naming)


def _rows_of(statement: Select[Any], *conditions: ColumnElement[bool]) -> ColumnElement[Any]:
    """Return the rows of a read as one value, in its order.

    What the conditions refer to is found out before the read begins.
    """
    read = statement.subquery()
    records = _Records(tuple(each.type for each in read.c))
    rows = select(func.array_agg(func.row(*read.c), type_=records)).select_from(read).where(*conditions)
    return rows.scalar_subquery()
