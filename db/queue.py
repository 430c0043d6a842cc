"""The queue: the handoffs that nobody has taken yet.

`page` returns them as rows. `read` returns, in one statement, the columns that are asked for and no others,
of them and of what they refer to; `read_one` does so for any handoff. A column is named by its path:
("intent",) is the handoff's, ("session", "owner", "name") the name of its session's owner. What a path goes
through is joined by its foreign key.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import Enum
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
    func,
    literal_column,
    select,
    type_coerce,
)

from db.enums import HandoffIntent, HandoffPriority, HandoffState
from db.handoffs import NEWEST_FIRST, HandoffRow
from db.models import handoffs, session_branches, sessions, teams, users
from db.native import Rows
from db.pages import Page, SortKey
from db.session import Database, Transaction, columns_of
from db.types import Named, Ranked


class QueueOrder(Enum):
    """In which order the queue is read."""

    NEWEST_FIRST = "NEWEST_FIRST"
    OLDEST_FIRST = "OLDEST_FIRST"
    PRIORITY_FIRST = "PRIORITY_FIRST"  #: most urgent first, and who waits longest among equals


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFilter:
    """What part of the queue is asked for; None asks for all."""

    team_id: UUID | None = None
    intent: HandoffIntent | None = None
    priority: HandoffPriority | None = None
    problem_domain: str | None = None  #: of the session as it is now


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
_TIME = [handoffs.c.created_at, handoffs.c.id]
_ORDERS = {
    QueueOrder.NEWEST_FIRST: NEWEST_FIRST,
    QueueOrder.OLDEST_FIRST: SortKey(_TIME),
    QueueOrder.PRIORITY_FIRST: SortKey([handoffs.c.priority, *_TIME]),
}
#: As a literal: with a parameter, PostgreSQL would have to plan anew each time to find the partial index.
_IS_OPEN = handoffs.c.state == literal_column(f"'{HandoffState.OPEN.value}'")


async def page(tx: Transaction, wanted: QueueFilter, order: QueueOrder, page: Page) -> list[HandoffRow]:
    """Return up to `page.limit` unclaimed handoffs.

    The sort key is (created_at, id), for PRIORITY_FIRST (priority, created_at, id). The order is that of
    a partial index over the unclaimed, so the cost does not grow with the handoffs ever made.
    """
    waiting = select(*columns_of(HandoffRow, handoffs)).where(*_wanted(tx, wanted))
    return await tx.fetch_all(_ORDERS[order].page_of(waiting, page), HandoffRow)


async def count(tx: Transaction, wanted: QueueFilter) -> int:
    """Return how many handoffs `page` walks through."""
    statement = select(func.count()).select_from(handoffs).where(*_wanted(tx, wanted))
    return int(await tx.fetch_value(statement))


async def read(
    database: Database,
    account_id: UUID,
    paths: tuple[Path, ...],
    wanted: QueueFilter,
    order: QueueOrder,
    page: Page,
) -> Rows:
    """Return up to `page.limit` rows as `page` does, in each the values of the paths.

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


def _wanted(tx: Transaction, wanted: QueueFilter) -> list[ColumnElement[bool]]:
    return [tx.own(handoffs), *_conditions(asdict(wanted))]


def _conditions(wanted: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """Return the conditions of the queue; `wanted` are a filter's values by name, or what stands for them."""
    same = [
        handoffs.c[name] == wanted[name]
        for name in ("team_id", "intent", "priority")
        if wanted.get(name) is not None
    ]
    domain = wanted.get("problem_domain")
    return [_IS_OPEN, *same, *([] if domain is None else [_session_has_domain(domain)])]


def _session_has_domain(domain: object) -> ColumnElement[bool]:
    same = and_(sessions.c.account_id == handoffs.c.account_id, sessions.c.id == handoffs.c.session_id)
    return select(sessions.c.id).where(same, sessions.c.problem_domain == domain).exists()


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
    key = _ORDERS[order]
    conditions = [handoffs.c.account_id == bindparam("account_id")]
    conditions += _conditions({name: bindparam(name) for name in given})
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
