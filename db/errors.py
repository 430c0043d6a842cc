"""What can go wrong below: told apart here, because nothing above knows the driver's exceptions."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import IntegrityError, SQLAlchemyError

#: The database is away, refuses, or lacks the tables. For entry points that end with a sentence.
DATABASE_FAULTS = (SQLAlchemyError, OSError)


class Taken(Exception):  # noqa: N818 (an outcome, not a fault)
    """A value that must be unique exists already."""


@contextmanager
def unique(table: str = "") -> Iterator[None]:
    """Raise Taken where the block's statement violates a unique constraint. Its transaction is lost then.

    A table is named where the statement changes several: only a constraint of that one counts.
    """
    try:
        yield
    except IntegrityError as error:
        if table not in str(error.orig):  # both engines name it there
            raise
        raise Taken from error
