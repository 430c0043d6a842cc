"""`handoff export`: an account's work as JSON Lines."""

from collections.abc import Callable
from contextlib import aclosing
from typing import Any
from uuid import UUID

import orjson

from db.exports import Span
from db.session import Database
from resolvers import exports
from schema.context import utc_now
from server.output import Output

#: How many records are written between two words on the progress.
_EVERY = 1_000


async def export_account(
    database: Database, account_id: UUID, span: Span, output: Output, *, tell: Callable[[int], None]
) -> dict[str, int]:
    """Write an account's records, and return how many there are of each type. `tell` hears how many so far.

    Raises:
        BadInput: the output cannot be written.
    """
    written, record = 0, {}
    async with (
        database.snapshot(account_id) as tx,
        aclosing(exports.records(tx, span, now=utc_now())) as records,
    ):
        async for record in records:
            output.write(_line(record))
            written += 1
            if written % _EVERY == 0:
                tell(written)
    counts: dict[str, int] = record["records"]
    return counts


def _line(record: dict[str, Any]) -> bytes:
    return orjson.dumps(record, _plain, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)


def _plain(value: object) -> str:
    """Return a UUID as text: asyncpg has a class of its own for them, which orjson does not know."""
    if isinstance(value, UUID):
        return str(value)
    raise TypeError
