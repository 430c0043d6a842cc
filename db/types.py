"""Column types that mean the same on both engines."""

from datetime import UTC, datetime
from enum import Enum
from typing import TypeVar

from sqlalchemy import JSON, DateTime, Dialect, SmallInteger, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator

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
