"""Column types that mean the same on both engines."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import JSON, Boolean, ColumnElement, DateTime, Dialect, Select, SmallInteger, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement, GenericFunction
from sqlalchemy.types import TypeDecorator, TypeEngine

#: A JSON document: jsonb on PostgreSQL, text on SQLite.
Document = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class UtcDateTime(TypeDecorator[datetime]):
    """An aware instant, stored and returned in UTC.

    SQLite's own type drops the offset: 23:00+09:00 would come back as 23:00 (SQLAlchemy 2.1.9). So a
    naive value is refused, every other is converted before it is stored.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC; refuse a naive value with ValueError."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the instant with UTC attached."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


E = TypeVar("E", bound=Enum)


class Named(TypeDecorator[E]):
    """A member of a closed set of words, stored as its word; the table's CHECK lists the allowed ones."""

    impl = Text
    cache_ok = True

    def __init__(self, members: type[E]) -> None:
        super().__init__()
        self.members = members

    def process_bind_param(self, value: E | None, dialect: Dialect) -> str | None:
        """Store the member's word."""
        return None if value is None else str(value.value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> E | None:
        """Return the member of a stored word."""
        return None if value is None else self.members(value)


class Ranked(TypeDecorator[E]):
    """A member of an ordered set, stored as its number, so that the database can order by it."""

    impl = SmallInteger
    cache_ok = True

    def __init__(self, members: type[E]) -> None:
        super().__init__()
        self.members = members

    def process_bind_param(self, value: E | None, dialect: Dialect) -> int | None:
        """Store the member's number."""
        return None if value is None else int(value.value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> E | None:
        """Return the member of a stored number."""
        return None if value is None else self.members(value)


class IdList(TypeDecorator[Sequence[UUID]]):
    """Any number of ids as one value, for `is_listed`."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Take an array where there are arrays."""
        return dialect.type_descriptor(ARRAY(Uuid()) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Sequence[UUID] | None, dialect: Dialect) -> object:
        """Write JSON for SQLite, each id as it is stored."""
        ids = value or ()
        return list(ids) if dialect.name == "postgresql" else json.dumps([each.hex for each in ids])


class later(GenericFunction[datetime]):  # noqa: N801 (a function of SQL)
    """The instant that lies a number of whole seconds after another; NULL where either is."""

    type = UtcDateTime()
    inherit_cache = True


class _Condition(FunctionElement[bool]):
    """A condition as it is written: SQLAlchemy would append `= 1` for SQLite, which then uses no index."""

    type = Boolean()
    inherit_cache = True

    def self_group(self, against: object = None) -> "_Condition":
        """Return the condition itself."""
        return self


class is_among(_Condition):  # noqa: N801 (an operator of SQL)
    """Whether a column is among what a read returns; that is read first, and once.

    PostgreSQL may join an IN with the whole table; an array it looks up by an index.
    """

    inherit_cache = True

    def __init__(self, column: ColumnElement[Any], read: Select[Any]) -> None:
        super().__init__(column, read.scalar_subquery())


def _written(element: FunctionElement[Any], compiler: SQLCompiler, options: dict[str, Any]) -> Iterator[str]:
    """Return what an operator stands between, as SQL."""
    return (compiler.process(each, **options) for each in element.clauses)


@compiles(is_among, "postgresql")
def _is_among_postgresql(element: is_among, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    column, read = _written(element, compiler, options)
    return f"{column} = ANY (ARRAY{read})"


@compiles(is_among, "sqlite")
def _is_among_sqlite(element: is_among, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    # Without the order in which rows are locked elsewhere: to spare itself the sorting of a few rows, SQLite
    # walks through all that an index in that order holds of the account (3.40).
    column, read = element.clauses
    unordered = read.element.order_by(None).scalar_subquery()
    return f"{compiler.process(column, **options)} IN {compiler.process(unordered, **options)}"


class is_listed(_Condition):  # noqa: N801 (an operator of SQL)
    """Whether a column of ids is in an `IdList`: the same statement for any number of ids."""

    inherit_cache = True


@compiles(is_listed, "postgresql")
def _is_listed_postgresql(element: is_listed, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    column, ids = _written(element, compiler, options)
    return f"{column} = ANY ({ids})"


@compiles(is_listed, "sqlite")
def _is_listed_sqlite(element: is_listed, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    column, ids = _written(element, compiler, options)
    return f"{column} IN (SELECT value FROM json_each({ids}))"  # noqa: S608 (parts of a compiled statement)


@compiles(later, "postgresql")
def _later_postgresql(element: later, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    at, seconds = _written(element, compiler, options)
    return f"({at} + make_interval(secs => {seconds}))"


@compiles(later, "sqlite")
def _later_sqlite(element: later, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    # The fraction is kept as it is written: SQLite's own functions know milliseconds only.
    at, seconds = _written(element, compiler, options)
    whole = f"strftime('%Y-%m-%d %H:%M:%S', substr({at}, 1, 19), ({seconds}) || ' seconds')"
    return f"({whole} || substr({at}, 20))"
