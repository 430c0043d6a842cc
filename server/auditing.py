"""`handoff audit`: mutations that were refused, as JSON Lines."""

from contextlib import aclosing
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

import orjson

from db import audit_log
from db.session import Database
from server.output import Output

_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z


async def write_refusals(
    database: Database, account_id: UUID | None, since: datetime | None, output: Output
) -> None:
    """Write the refusals of an account, None for those of nobody who was signed in; oldest first.

    Raises:
        BadInput: the output cannot be written.
    """
    async with (
        database.system_reading() as tx,
        aclosing(audit_log.of_account(tx, account_id, since=since)) as pages,
    ):
        async for page in pages:
            for row in page:
                # asyncpg has a UUID of its own, which orjson does not know.
                output.write(orjson.dumps(asdict(row), default=str, option=_OPTIONS))


async def prune_refusals(database: Database, before: datetime) -> int:
    """Delete the refusals before an instant, as the owner of the tables; return how many."""
    async with database.owning() as tx:
        return await audit_log.prune(tx, before=before)
