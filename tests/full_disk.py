"""A disk that is full, in memory."""

import sqlite3
from contextlib import closing
from typing import NoReturn

from sqlalchemy.exc import DBAPIError


def full_disk() -> DBAPIError:
    """Return the fault of a statement for which there is no room, as SQLite itself words it."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("PRAGMA max_page_count = 1")
        try:
            connection.execute("CREATE TABLE kept (value text)")
        except sqlite3.OperationalError as error:
            return DBAPIError("INSERT", None, error, hide_parameters=True)
    raise AssertionError("there was room")


async def find_no_room(*_: object, **__: object) -> NoReturn:
    """Store nothing, in place of any function that would."""
    raise full_disk()
