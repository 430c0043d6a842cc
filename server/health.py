"""/healthz: the process lives. /readyz: it can do its work, or what keeps it from it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from db import migrate
from db.session import Database
from notify.broadcast.wakeups import Wakeups

log = logging.getLogger(__name__)

_ANSWER_SECONDS = 3.0
Respond = Callable[[Request], Awaitable[Response]]


async def alive(_: Request) -> Response:
    """Answer 200 while the event loop turns."""
    return PlainTextResponse("ok\n")


def ready(database: Database, wakeups: Wakeups) -> Respond:
    """Return the handler that answers 200, or 503 and which part is not ready."""

    async def respond(_: Request) -> Response:
        found, migrations = await _check_database(database)
        parts = {
            "database": found,
            "migrations": migrations,
            "broadcast": "ok" if wakeups.connected else "not connected",
        }
        is_ready = all(state == "ok" for state in parts.values())
        return JSONResponse(parts, status_code=200 if is_ready else 503)

    return respond


async def _check_database(database: Database) -> tuple[str, str]:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS), database.owning() as tx:
            revision = await migrate.current_revision(tx)
    except Exception:
        log.warning("database not ready", exc_info=True)
        return "not reachable", "unknown"
    if migrate.is_enough(revision):
        return "ok", "ok"
    return "ok", f"at {revision or 'none'}, not at {migrate.newest_revision()}: run handoff migrate"
