"""A page of the queue, or one handoff, in one statement: the columns that are asked for, and no others.

A column is named by its path: ("intent",) is the handoff's, ("session", "owner", "name") the name of its
session's owner. What a path goes through is joined by its foreign key.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Table,
    and_,
    bindparam,
    literal_column,
    select,
    type_coerce,
)

from db.handoffs import QUEUE_ORDERS, QueueFilter, QueueOrder, queue_conditions
from db.models import handoffs, session_branches, sessions, teams, users
from db.native import Rows
from db.pages import Page, SortKey
from db.session import Database
from db.types import Named, Ranked

Path = tuple[str, ...]
_REMEMBERED = 512  #: statements

#: What a step of a path refers to, and by which column.
_REFERENCES: dict[tuple[str, str], tuple[Table, str]] = {
    ("handoffs", "session"): (sessions, "session_id"),
    ("handoffs", "handed_off_by"): (users, "handed_off_by_id"),
    ("handoffs", "claimed_by"): (users, "claimed_by_id"),
    ("handoffs", "source_branch"): (session_branches, "source_branch_id"),
    ("sessions", "owner"): (users, "owner_id"),
    ("sessions", "team"): (teams, "team_id"),
    ("sessions", "active_branch"): (session_branches, "active_branch_id"),
    ("sessions", "escalated_to"): (users, "escalated_to_id"),
    ("session_branches", "parent_branch"): (session_branches, "parent_branch_id"),
}


async def read(
    database: Database,
    account_id: UUID,
    paths: tuple[Path, ...],
    wanted: QueueFilter,
    order: QueueOrder,
    page: Page,
) -> Rows:
    """Return up to `page.limit` rows as `db.handoffs.queue` does, in each the values of the paths.

    Members of closed sets come as they are stored: by their word, or by their rank.
    """
    named = ((each.name, getattr(wanted, each.name)) for each in fields(wanted))
    given = {name: value for name, value in named if value is not None}
    after = {_after(index): value for index, value in enumerate(page.after or ())}
    statement = _statement(paths, tuple(given), order, page.limit, is_first=page.after is None)
    return await database.glance(account_id, statement, {"account_id": account_id, **given, **after})


async def read_one(
    database: Database, account_id: UUID, paths: tuple[Path, ...], handoff_id: UUID
) -> Sequence[Any] | None:
    """Return the values of the paths for one handoff, in the queue or not; None: the account has no such."""
    rows = await database.glance(
        account_id, _statement_of_one(paths), {"account_id": account_id, "id": handoff_id}
    )
    return rows[0] if rows else None


@lru_cache(_REMEMBERED)
def _statement_of_one(paths: tuple[Path, ...]) -> Select[Any]:
    joins = _Joins()
    columns = [_plain(joins.column(path)) for path in paths]
    conditions = handoffs.c.account_id == bindparam("account_id"), handoffs.c.id == bindparam("id")
    return select(*columns).select_from(joins.source).where(*conditions)


@lru_cache(_REMEMBERED)
def _statement(
    paths: tuple[Path, ...], given: tuple[str, ...], order: QueueOrder, limit: int, *, is_first: bool
) -> Select[Any]:
    joins = _Joins()
    columns = [_plain(joins.column(path)) for path in paths]
    key = QUEUE_ORDERS[order]
    conditions = [handoffs.c.account_id == bindparam("account_id")]
    conditions += queue_conditions({name: bindparam(name) for name in given})
    if not is_first:
        conditions.append(key.is_after(tuple(_key_values(key))))
    statement = select(*columns).select_from(joins.source).where(*conditions)
    # The number as a literal: PostgreSQL plans a page of unknown length as a tenth of the table.
    return statement.order_by(*key.order()).limit(literal_column(str(limit), Integer))


class _Joins:
    """The handoffs, and beside them what paths go through."""

    def __init__(self) -> None:
        self.source: FromClause = handoffs
        self._joined: dict[Path, tuple[str, FromClause]] = {(): ("handoffs", handoffs)}

    def column(self, path: Path) -> ColumnElement[Any]:
        """Return the column at the end of a path."""
        return self._at(path[:-1])[1].c[path[-1]]

    def _at(self, way: Path) -> tuple[str, FromClause]:
        if way not in self._joined:
            name, origin = self._at(way[:-1])
            table, column = _REFERENCES[name, way[-1]]
            target = table.alias()
            same = and_(target.c.account_id == origin.c.account_id, target.c.id == origin.c[column])
            self.source = self.source.outerjoin(target, same)
            self._joined[way] = (table.name, target)
        return self._joined[way]


def _key_values(key: SortKey) -> Iterator[BindParameter[Any]]:
    for index, column in enumerate(key.columns):
        yield bindparam(_after(index), type_=column.type)


def _after(index: int) -> str:
    return f"after_{index}"


def _plain(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column of a closed set as it is stored."""
    if isinstance(column.type, Named | Ranked):
        return type_coerce(column, column.type.impl_instance)
    return column
