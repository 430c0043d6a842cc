"""Relay connections over keyset pages, and their cursors."""

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

import strawberry

from db.pages import Page
from db.session import Transaction
from resolvers.errors import BadInput
from schema.context import Context

T = TypeVar("T")
R = TypeVar("R")

#: The most that one page may hold.
MAX_PAGE = 100
_MAX_INT = 2**31 - 1  # what the columns of a sort key hold
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    """Relay's PageInfo; pages are walked forwards."""

    has_next_page: bool = strawberry.field(description="Whether more follow after this page.")
    has_previous_page: bool = strawberry.field(description="Whether this page was asked for `after` another.")
    start_cursor: str | None = strawberry.field(
        description="The first edge's cursor; null for an empty page."
    )
    end_cursor: str | None = strawberry.field(
        description="The last edge's cursor: pass it as `after` for the next page. Null for an empty page."
    )


@strawberry.type(description="An item and its place in the list.")
class Edge(Generic[T]):
    """Relay's Edge."""

    cursor: str = strawberry.field(
        description="The item's place. Opaque; it stays valid when the list changes."
    )
    node: T = strawberry.field(description="The item.")


@strawberry.type(description="One page of a list.")
class Connection(Generic[T]):
    """Relay's Connection."""

    edges: list[Edge[T]] = strawberry.field(description="The items of the page, in order.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")
    count: strawberry.Private[Callable[[], Awaitable[int]]]

    @strawberry.field(description="How many items the whole list has now. Counted only when asked for.")
    async def total_count(self) -> int:
        """Count the list."""
        return await self.count()


def read_page(first: int, after: str | None, key: Sequence[type], *, order: str = "") -> Page:
    """Return the page that the arguments ask for; `key` are the types of the list's sort key.

    `order` names the order where a list has several: a cursor of another is refused.

    Raises:
        BadInput: `first` is out of range, or `after` is no cursor of such a list.
    """
    if not 1 <= first <= MAX_PAGE:
        raise BadInput(f"first must be between 1 and {MAX_PAGE}.")
    return Page(first, None if after is None else _read_cursor(after, key, order))


async def read_connection(
    context: Context,
    page: Page,
    *,
    rows: Callable[[Transaction, Page], Awaitable[Sequence[R]]],
    count: Callable[[Transaction], Awaitable[int]],
    node: Callable[[R], T],
    key: Callable[[R], tuple[Any, ...]],
) -> Connection[T]:
    """Read a page of a list of the caller's account; `rows` and `count` read and count the list."""

    async def count_all() -> int:
        async with context.reading() as tx:
            return await count(tx)

    async with context.reading() as tx:
        found = await rows(tx, page)
    return connect(found, page, node=node, key=key, count=count_all)


def connect(
    rows: Sequence[R],
    page: Page,
    *,
    node: Callable[[R], T],
    key: Callable[[R], tuple[Any, ...]],
    count: Callable[[], Awaitable[int]],
    order: str = "",
) -> Connection[T]:
    """Make a connection of the rows of a page, of which there may be one more than asked for."""
    edges = [Edge(cursor=write_cursor(key(row), order), node=node(row)) for row in rows[: page.first]]
    info = PageInfo(
        has_next_page=len(rows) > page.first,
        has_previous_page=page.after is not None,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=edges[-1].cursor if edges else None,
    )
    return Connection(edges=edges, page_info=info, count=count)


def write_cursor(key: Iterable[Any], order: str) -> str:
    """Return the cursor of a row of a list in this order, by the values of its sort key."""
    return base64.urlsafe_b64encode(json.dumps([order, *map(_plain, key)]).encode()).decode()


def _plain(part: Any) -> str | int:  # noqa: ANN401 (one of the types of a sort key)
    if isinstance(part, datetime):
        return (part - _EPOCH) // _MICROSECOND
    return int(part) if isinstance(part, int) else str(part)


def _read_cursor(cursor: str, key: Sequence[type], order: str) -> tuple[Any, ...]:
    try:
        stored = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        parts = stored[1:] if stored[:1] == [order] else ()
        return tuple(_typed(part, wanted) for part, wanted in zip(parts, key, strict=True))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, binascii.Error):
        raise BadInput("after is not a cursor of this list. Pass an endCursor that it gave you.") from None


def _typed(part: Any, wanted: type) -> Any:  # noqa: ANN401
    if wanted is datetime:
        return _EPOCH + int(part) * _MICROSECOND
    if wanted is int and not 0 <= part <= _MAX_INT:
        raise ValueError(part)
    if wanted is str and "\x00" in part.encode().decode():  # half a surrogate pair cannot be encoded
        raise ValueError(part)
    return wanted(part)
