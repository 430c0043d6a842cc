"""Pages of the lists of many rows at once: the messages of each of a hundred sessions in one statement."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Column, Select, Table, Uuid, column, func, literal, select, true
from sqlalchemy.dialects.postgresql import ARRAY

from db.pages import Page, SortKey
from db.session import Transaction, columns_of

R = TypeVar("R")


async def pages_of(
    tx: Transaction, row: type[R], of: Column[Any], key: SortKey, parent_ids: Sequence[UUID], page: Page
) -> dict[UUID, list[R]]:
    """Return for each parent up to `page.limit` of its rows, in the order of the key.

    Args:
        tx: The parents' account.
        row: The dataclass of the rows. It has the column `of` among its fields.
        of: The column that names the parent.
        key: The sort key of each list.
        parent_ids: The parents.
        page: Which rows of each list.
    """
    table = of.table
    assert isinstance(table, Table)  # noqa: S101 (a column of a table)
    conditions = [tx.own(table)]
    if page.after is not None:
        conditions.append(key.is_after(page.after))
    columns = columns_of(row, table)
    read = select(*columns).where(*conditions)
    if len(parent_ids) == 1:
        statement = read.where(of == parent_ids[0]).order_by(*key.order()).limit(page.limit)
    elif tx.is_postgresql:
        statement = _beside_each(read, of, key, parent_ids, page)
    else:
        statement = _numbered(read, of, key, parent_ids, page)
    found: dict[UUID, list[R]] = {parent_id: [] for parent_id in parent_ids}
    parent_of = attrgetter(of.name)
    for child in await tx.fetch_all(statement, row):
        found[parent_of(child)].append(child)
    return found


def _beside_each(
    read: Select[Any], of: Column[Any], key: SortKey, parent_ids: Sequence[UUID], page: Page
) -> Select[Any]:
    """Read each list from its index, and no further than its page."""
    ids = func.unnest(literal(parent_ids, ARRAY(Uuid()))).table_valued(column("id", Uuid()))
    ids = ids.render_derived()
    one = read.where(of == ids.c.id).order_by(*key.order()).limit(page.limit).lateral()
    return select(*one.c).select_from(ids.join(one, true())).order_by(*key.order_in(one))


def _numbered(
    read: Select[Any], of: Column[Any], key: SortKey, parent_ids: Sequence[UUID], page: Page
) -> Select[Any]:
    """Number the rows of each list, where there is no LATERAL."""
    place = func.row_number().over(partition_by=of, order_by=key.order()).label("place")
    rows = read.add_columns(place).where(of.in_(parent_ids)).subquery()
    columns = [rows.c[str(each.key)] for each in read.selected_columns]
    return select(*columns).where(rows.c.place <= page.limit).order_by(*key.order_in(rows))
