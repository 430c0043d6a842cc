"""What can go wrong below: told apart here, because nothing above knows the driver's exceptions."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_tb

import asyncpg
from sqlalchemy.exc import DBAPIError, EmulatedDBAPIException, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoneLeftError

#: The database is away, refuses, or lacks the tables. For entry points that end with a sentence. Where the
#: server refuses a connection, SQLAlchemy's driver says so itself, in no SQLAlchemyError (2.1.9).
DATABASE_FAULTS = (SQLAlchemyError, EmulatedDBAPIException, OSError)

_OF_DRIVERS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    sqlite3.Error,
)
#: Classes of PostgreSQL's errors (manual, appendix A) that say nothing about what was asked: no connection,
#: no sign-in, no such database, no room, an operator, the system.
_AWAY_CLASSES = {"08", "28", "3D", "53", "57", "58"}
_CANCELED = "57014"  #: of such a class, but the server is there: a statement took too long for it
#: SQLite's primary result codes of the same meaning.
_AWAY_CODES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR}
#: What keeps from storing alone: no room, or no right to write at all, as a standby has none, and as some who
#: rent servers out take it away where there is no room.
_READ_ONLY = "25006"
_UNWRITABLE_STATES = {"53100", _READ_ONLY}
_UNWRITABLE_CODES = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY}
_LOCK_REFUSED = "55P03"  #: somebody else held a lock for longer than `lock_timeout`
#: Those that name what was stored: a value that does not fit, a constraint.
_WITH_VALUES = ("22", "23")
_WRONG_SETTING = "22023"  # as of a role that is not there: of the class with values, and names none


class Taken(Exception):  # noqa: N818 (an outcome, not a fault)
    """A value that must be unique exists already."""


class CommitInDoubtError(DBAPIError):
    """The connection ended amid a COMMIT: what was to be stored may be stored, or will be in a moment."""


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
    if _is_cut_off_set_up(driver_fault(fault)):
        return True
    state, code = _codes_of(fault)
    is_one_of_state = state[:2] in _AWAY_CLASSES and state != _CANCELED
    return is_one_of_state or code in _AWAY_CODES or is_unwritable(fault)


def _is_cut_off_set_up(fault: BaseException | None) -> bool:
    """Tell whether a connection was ended while it was set up: asyncpg (0.32) takes that for its own fault.

    Or whether none of several servers is the primary now, which it tells by an error of the same kind.
    """
    if isinstance(fault, asyncpg.TargetServerAttributeNotMatched):
        return True
    return isinstance(fault, asyncpg.InternalClientError) and "cannot switch to state" in str(fault)


def is_unwritable(fault: BaseException) -> bool:
    """Tell whether a fault says that nothing can be stored, while everything can be read."""
    state, code = _codes_of(fault)
    return state in _UNWRITABLE_STATES or code in _UNWRITABLE_CODES


def is_read_only(fault: BaseException) -> bool:
    """Tell whether a fault says that PostgreSQL lets this connection only read: another may write."""
    return _codes_of(fault)[0] == _READ_ONLY


def is_lock_refused(fault: BaseException) -> bool:
    """Tell whether a fault says that somebody held for too long what PostgreSQL had to lock."""
    return _codes_of(fault)[0] == _LOCK_REFUSED


def _codes_of(fault: BaseException) -> tuple[str, int]:
    """Return PostgreSQL's code of a fault, "" for none, and SQLite's primary result code, 0 for none."""
    cause = getattr(fault, "orig", fault)  # who opens a connection raises the driver's own
    state: str = getattr(cause, "sqlstate", None) or ""
    code: int = getattr(cause, "sqlite_errorcode", None) or 0
    return state, code & 0xFF


def driver_fault(error: BaseException | None) -> BaseException | None:
    """Return what the driver, or the way to the database, said; None for a fault of another kind."""
    while error is not None:
        if isinstance(error, DBAPIError) and error.orig is not None:
            return error.orig.__cause__ or error.orig  # SQLAlchemy's own class stands before asyncpg's
        if isinstance(error, (SQLAlchemyError, *_OF_DRIVERS)) or _is_from_here(error):
            return error
        error = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__
    return None


def _is_from_here(error: BaseException) -> bool:
    """Tell whether the system refused something to this folder; it may have been to any other."""
    frames = (frame for frame, _ in walk_tb(error.__traceback__))
    return isinstance(error, OSError) and any(
        frame.f_globals.get("__name__", "").startswith("db.") for frame in frames
    )


def is_outage(fault: BaseException) -> bool:
    """Tell of a driver's fault whether the database could not work, rather than that it was asked wrongly."""
    return is_away(fault) or isinstance(fault, asyncpg.InterfaceError)


def words_of(error: BaseException) -> str:
    """Return the class of a fault and the driver's own words, without any value that was to be stored."""
    fault = driver_fault(error) or error
    name = type(fault).__name__
    state = str(getattr(fault, "sqlstate", ""))
    names_values = isinstance(fault, sqlite3.IntegrityError | sqlite3.DataError)
    if names_values or (state.startswith(_WITH_VALUES) and state != _WRONG_SETTING):
        return name
    words = str(fault).partition("\n")[0]  # PostgreSQL's details stand below
    return f"{name}: {words}" if words else name
