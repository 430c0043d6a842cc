"""What a move of a handoff is made of: the change itself, and what follows from it. See `db/moves.py`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Insert, Table, Update, insert, select
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from db.native import Values

#: Gives a column of the handoff as it is after the move.
Moved = Callable[[ColumnElement[Any]], ColumnElement[Any]]


@dataclass(frozen=True, slots=True)
class Move:
    """The change of a handoff, which returns the whole row."""

    statement: ReturningInsert[Any] | ReturningUpdate[Any]  #: built once: the very object is known again
    values: Values


@dataclass(frozen=True, slots=True)
class Step:
    """A change that follows."""

    build: Callable[[Moved], Insert | Update]  #: a function of a module, which is called once a process
    values: Values


@dataclass(frozen=True, slots=True)
class Rows:
    """Any number of rows that follow."""

    table: Table
    same: Values  #: columns in which they agree
    each: Sequence[Values]  #: the others, the same ones for each row


def inserting(
    table: Table, columns: dict[str, ColumnElement[Any]], *conditions: ColumnElement[bool]
) -> Insert:
    """Return the statement of a step that inserts one row, made of values and of what has moved."""
    return insert(table).from_select(list(columns), select(*columns.values()).where(*conditions))


def looked_up(moved: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column of what has moved as a value, NULL where nothing has.

    In a condition it makes PostgreSQL look rows up by an index, whatever it believes of the tables: that the
    moved are one row it does not know.
    """
    return select(moved).scalar_subquery()
