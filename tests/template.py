"""The databases that those of the tests are copies of."""

from dataclasses import dataclass

from db.session import Database
from tests.cast import Cast, make_cast


@dataclass(frozen=True, slots=True)
class Template:
    """Databases of one engine to copy: migrated and empty, and one on which the cast is stored."""

    empty: str  #: a name in PostgreSQL, a file of SQLite
    with_cast: str
    cast: Cast


async def store_cast(url: str) -> Cast:
    """Store the cast on a migrated database, and leave nobody connected to it."""
    database = Database(url)
    cast = await make_cast(database)
    await database.dispose()
    return cast
