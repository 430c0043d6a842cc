"""What all types share: ids, the arguments of lists, and rows that must be there."""

from datetime import datetime
from typing import Annotated, Protocol, TypeVar
from uuid import UUID

import strawberry

V = TypeVar("V")
First = Annotated[int, strawberry.argument(description="How many at most: 1 to 100.")]
FirstOrDefault = Annotated[
    int | None, strawberry.argument(description="How many at most: 1 to 100; null for 20.")
]
After = Annotated[
    str | None,
    strawberry.argument(description="The `endCursor` of the page before; null for the first page."),
]
TIME_KEY = (datetime, UUID)
NAME_KEY = (str, UUID)


class Created(Protocol):
    """A row of a list by time."""

    @property
    def id(self) -> UUID:
        """Tells rows of the same instant apart."""

    @property
    def created_at(self) -> datetime:
        """What the list is ordered by."""


class WithName(Protocol):
    """A row of a list by name."""

    @property
    def id(self) -> UUID:
        """Tells rows of the same name apart."""

    @property
    def name(self) -> str:
        """What the list is ordered by."""


@strawberry.interface(description="Anything with an id.")
class Node:
    """Relay's Node, with bare UUIDs."""

    id: strawberry.ID = strawberry.field(description="The stored UUID, unique over all types.")


def created(row: Created) -> tuple[datetime, UUID]:
    """Return the sort key of lists by time."""
    return row.created_at, row.id


def named(row: WithName) -> tuple[str, UUID]:
    """Return the sort key of lists by name."""
    return row.name, row.id


def present(row: V | None) -> V:
    """Return a row that a foreign key promises."""
    if row is None:
        raise LookupError("a row that another refers to is gone")
    return row
