"""What can go wrong below: told apart here, because nothing above knows the driver's exceptions."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoneLeftError

#: The database is away, refuses, or lacks the tables. For entry points that end with a sentence.
DATABASE_FAULTS = (SQLAlchemyError, OSError)

#: Classes of PostgreSQL's errors (manual, appendix A) that say nothing about what was asked for: the
#: connection failed, there is no room for one, the server stops or is starting.
_AWAY_CLASSES = {"08", "53", "57"}
_CANCELED = "57014"  #: of the last class, but the server is there: a statement took too long for it
#: SQLite's primary result codes of the same meaning.
_AWAY_CODES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}


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


def is_away(fault: BaseException) -> bool:
    """Tell whether a fault says that the database is away, and nothing about what was asked of it.

    The same may be asked again then. A table that is not there, for one, will not come by itself.
    """
    if isinstance(fault, OSError | NoneLeftError):  # no connection can be opened, or none was free in time
        return True
    if isinstance(fault, DBAPIError) and fault.connection_invalidated:
        return True
    cause = getattr(fault, "orig", fault)  # who opens a connection raises the driver's own
    state = getattr(cause, "sqlstate", None) or ""
    code = getattr(cause, "sqlite_errorcode", None) or 0
    return (state[:2] in _AWAY_CLASSES and state != _CANCELED) or code & 0xFF in _AWAY_CODES
