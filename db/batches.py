"""How the rows of a batch are named in one statement."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, any_, bindparam
from sqlalchemy.dialects.postgresql import ARRAY

T = TypeVar("T")


def padded(values: Sequence[T]) -> list[T]:
    """Repeat the last value until there are 1, 2, 4, 8 … of them, for an IN.

    Each number of values is a statement of its own, which the database prepares and the driver keeps: of a
    hundred lengths most would be forgotten before they come again.
    """
    length = 1 << max(0, len(values) - 1).bit_length()
    return [*values, *(values[-1] for _ in range(length - len(values)))]


def among(build: Callable[[ColumnElement[bool]], T], column: Column[Any]) -> Mapping[bool, T]:
    """Build a statement about the rows whose `column` is among the value `ids`, to be run by `prepared.run`.

    Returns: that for PostgreSQL, whose text is the same for any number of ids, by True; by False that for
    SQLite, which has no arrays.
    """
    array = bindparam("_ids", type_=ARRAY(column.type))
    return {
        True: build(column == any_(array)),
        False: build(column.in_(bindparam("_ids", type_=column.type, expanding=True))),
    }
