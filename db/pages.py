"""Keyset pages: the next rows after a known one, at a cost that does not grow with the page's number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, FromClause, Select, literal, tuple_


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows are asked for: at most `first`, after the row whose sort key is `after`."""

    first: int
    after: tuple[Any, ...] | None = None

    @property
    def limit(self) -> int:
        """One row more than asked for: its presence tells that there is a next page."""
        return self.first + 1


@dataclass(frozen=True, slots=True)
class SortKey:
    """An order: columns that together are unique, all in one direction, as an index has them."""

    columns: Sequence[ColumnElement[Any]]
    descending: bool = False

    def order(self) -> list[ColumnElement[Any]]:
        """Return the ORDER BY."""
        return self._directed(self.columns)

    def order_in(self, rows: FromClause) -> list[ColumnElement[Any]]:
        """Return the ORDER BY of rows that were read from the table of these columns."""
        return self._directed([rows.c[str(column.key)] for column in self.columns])

    def _directed(self, columns: Sequence[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
        return [column.desc() if self.descending else column.asc() for column in columns]

    def page_of(self, rows: Select[Any], page: Page) -> Select[Any]:
        """Return the statement that reads a page of these rows, in this order."""
        following = rows if page.after is None else rows.where(self.is_after(page.after))
        return following.order_by(*self.order()).limit(page.limit)

    def is_after(self, values: tuple[Any, ...]) -> ColumnElement[bool]:
        """Return the condition that a row comes after the one with these key values, or parameters."""
        here = tuple_(*self.columns)
        pairs = zip(values, self.columns, strict=True)
        there = tuple_(*(_bound(value, column) for value, column in pairs))
        return here < there if self.descending else here > there


def _bound(value: Any, column: ColumnElement[Any]) -> BindParameter[Any]:  # noqa: ANN401 (what the column holds)
    return value if isinstance(value, BindParameter) else literal(value, column.type)
