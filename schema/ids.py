"""Ids: the stored UUID, bare, everywhere."""

from uuid import UUID

import strawberry

#: Names nothing: no row has it.
_NOTHING = UUID(int=0)


def read_id(value: strawberry.ID | str) -> UUID:
    """Return the UUID of an id. One that cannot be read names nothing, so it is answered as unknown."""
    try:
        return UUID(value)
    except ValueError:
        return _NOTHING


def read_optional_id(value: strawberry.ID | None) -> UUID | None:
    """Return the UUID of an id, None for none."""
    return None if value is None else read_id(value)


def show_id(value: UUID) -> strawberry.ID:
    """Return the id of a UUID."""
    return strawberry.ID(str(value))


def show_optional_id(value: UUID | None) -> strawberry.ID | None:
    """Return the id of a UUID, None for none."""
    return None if value is None else show_id(value)
