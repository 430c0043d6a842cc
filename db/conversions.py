"""Between our values and a driver's, in as few steps as each type needs.

SQLAlchemy goes through an array item by item, and asks of each what it is; an instant it makes anew. An
escalation stores two hundred values, so what is known of the type is found out once.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import Dialect, Uuid
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import asyncpg as postgresql
from sqlalchemy.dialects.sqlite import aiosqlite as sqlite
from sqlalchemy.types import TypeEngine

from db.types import IdList, Named, Ranked, UtcDateTime

Convert = Callable[[Any], Any]  #: makes of a value what the driver is given, or of the driver's what ours is
POSTGRESQL: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own
SQLITE: Dialect = sqlite.dialect()


def store_of(kind: TypeEngine[Any], dialect: Dialect, theirs: Convert | None) -> Convert | None:
    """Return how values of a type are made the driver's, as `theirs` of SQLAlchemy does; None: they are."""
    if isinstance(kind, Named | Ranked):
        return {None: None, **{member: member.value for member in kind.members}}.__getitem__
    if dialect is not POSTGRESQL:
        return theirs
    if isinstance(kind, UtcDateTime):
        return _with_time_zone
    if isinstance(kind, IdList):
        return list
    if isinstance(kind, ARRAY) and isinstance(kind.item_type, Named | UtcDateTime | Uuid):
        return _store_of_each(store_of(kind.item_type, dialect, None))
    return theirs


def _store_of_each(store: Convert | None) -> Convert | None:
    return None if store is None else lambda values: [store(value) for value in values]


def _with_time_zone(value: datetime | None) -> datetime | None:
    """Refuse an instant without a time zone: the driver would take it for one of this machine's."""
    if value is not None and value.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return value


def loads_of(types: Iterable[TypeEngine[Any]], dialect: Dialect = POSTGRESQL) -> list[tuple[int, Convert]]:
    """Return how values of these types are made of the driver's, for those that are not the same."""
    found = ((place, _load_of(kind, dialect)) for place, kind in enumerate(types))
    return [(place, load) for place, load in found if load is not None]


def converted(rows: Iterable[Iterable[Any]], loads: Sequence[tuple[int, Convert]]) -> list[list[Any]]:
    """Return the rows with the values of some columns converted."""
    found = [list(row) for row in rows]
    for row in found:
        for place, load in loads:
            row[place] = load(row[place])
    return found


def _load_of(kind: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    if isinstance(kind, Named | Ranked):
        return _Members(kind.members).__getitem__
    if isinstance(kind, UtcDateTime | Uuid) and dialect is POSTGRESQL:
        return None  # the driver's have a time zone, and are UUIDs
    return kind.dialect_impl(dialect).result_processor(dialect, None)


class _Members(dict[Any, Enum | None]):
    """The members of a set by their values; what is no value is the set's to say."""

    def __init__(self, members: type[Enum]) -> None:
        super().__init__({None: None, **{member.value: member for member in members}})
        self._of = members

    def __missing__(self, value: object) -> Enum:
        return self._of(value)
