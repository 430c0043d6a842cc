"""Transactions that are one message to PostgreSQL: rows are locked, one statement runs, all is committed.

The driver waits for the answer to each message before it sends the next, and a message with values holds one
statement. So a lock and the statement after it are made into a function. One statement calls it, and is a
transaction by itself. Each connection makes its own, in its temporary schema, as it does with prepared
statements: a function belongs to the version of the program that calls it, and goes when the connection does.

In a function each statement sees what was committed before it began, as in a transaction of READ COMMITTED
(PostgreSQL manual, 38.7): what runs after the lock sees what the last holder of the lock has left.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import count
from uuid import UUID

import asyncpg
from sqlalchemy import Executable

from db.conversions import POSTGRESQL
from db.native import Native, native

_NUMBERS = count(1)


@dataclass(frozen=True, slots=True)
class Lock:
    """A statement that locks rows, which nobody reads.

    Where it goes with a BEGIN it is prepared under its name, once for each connection: such a message takes
    no parameters, so it would be planned each time, and that takes twice as long as to run it.
    """

    name: str
    statement: str  #: $1 is the account, $2 the id of what is locked; $3 the value of a condition
    has_condition: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """A lock of something."""

    lock: Lock
    locked_id: UUID
    value: str | None = None  #: of the condition, for a lock that has one

    @property
    def values(self) -> tuple[UUID | str, ...]:
        """What the lock is given after the account."""
        return (self.locked_id,) if self.value is None else (self.locked_id, self.value)


class AtOnce:
    """A transaction of an account: a lock, and if that finds what it locks, a statement with its values."""

    def __init__(self, lock: Lock, statement: Native) -> None:
        self.statement = statement
        self._lock = lock
        self._kinds = ["uuid", "uuid", *["text"] * lock.has_condition]  #: of what the lock is given
        self._name = f"pg_temp.at_once_{next(_NUMBERS)}"

    @cached_property
    def call(self) -> str:
        """What calls the function: what the lock is given comes after the statement's values."""
        places = ", ".join(f"${place + 1}" for place in range(self.statement.width + len(self._kinds)))
        return f"SELECT * FROM {self._name}({places})"  # noqa: S608 (nothing in it is anybody's)

    async def make(self, connection: asyncpg.Connection) -> None:
        """Make the function on a connection."""
        prepared = await connection.prepare(self.statement.text)
        kinds = [each.name for each in prepared.get_parameters()]
        shown = [each.type.name for each in prepared.get_attributes()]
        await connection.execute(self._definition(kinds, shown))

    def _definition(self, kinds: Sequence[str], shown: Sequence[str]) -> str:
        columns = ", ".join(f"c{place} {kind}" for place, kind in enumerate(shown))
        lock = self._lock.statement.removeprefix("SELECT ")
        lock = re.sub(r"\$(\d+)", lambda place: f"${len(kinds) + int(place[1])}", lock)
        return f"""
            CREATE FUNCTION {self._name}({", ".join([*kinds, *self._kinds])}) RETURNS TABLE ({columns})
            LANGUAGE plpgsql ROWS 1 SET plan_cache_mode = force_generic_plan AS $function$
            BEGIN
                PERFORM set_config('app.account_id', ${len(kinds) + 1}::text, true);
                PERFORM {lock};
                IF FOUND THEN
                    RETURN QUERY {self.statement.text};
                END IF;
            END $function$"""


@lru_cache
def at_once(lock: Lock, statement: Executable) -> AtOnce:
    """Return the transaction of a lock and a statement, both built once: the very objects are known again."""
    return AtOnce(lock, native(statement, POSTGRESQL))
