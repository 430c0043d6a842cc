"""/healthz: the process lives. /readyz: it can do its work, or what keeps it from it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from db import migrate
from db.session import Database
from notify.broadcast.wakeups import Wakeups

log = logging.getLogger(__name__)

_ANSWER_SECONDS = 3.0
Respond = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Condition:
    """How a database was found."""

    fault: Exception | None = None  #: what kept it from being reached
    revision: str | None = None  #: the migration that it stands at; None for an empty one

    @property
    def is_migrated(self) -> bool:
        """Whether it was reached and is as new as this version needs it."""
        return self.fault is None and migrate.is_enough(self.revision)


async def look_at(database: Database) -> Condition:
    """Ask a database which migration it stands at, for a few seconds at most."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS), database.owning() as tx:
            return Condition(revision=await migrate.current_revision(tx))
    except Exception as error:  # noqa: BLE001 (told, and logged, by whoever asks)
        return Condition(fault=error)


async def alive(_: Request) -> Response:
    """Answer 200 while the event loop turns."""
    return PlainTextResponse("ok\n")


def ready(database: Database, wakeups: Wakeups) -> Respond:
    """Return the handler that answers 200, or 503 and which part is not ready."""

    async def respond(_: Request) -> Response:
        found, migrations = _in_words(await look_at(database))
        parts = {
            "database": found,
            "migrations": migrations,
            "broadcast": "ok" if wakeups.connected else "not connected",
        }
        is_ready = all(state == "ok" for state in parts.values())
        return JSONResponse(parts, status_code=200 if is_ready else 503)

    return respond


def _in_words(condition: Condition) -> tuple[str, str]:
    if condition.fault is not None:
        log.warning("database not ready", exc_info=condition.fault)
        return "not reachable", "unknown"
    if condition.is_migrated:
        return "ok", "ok"
    stands_at = condition.revision or "none"
    return "ok", f"at {stands_at}, not at {migrate.newest_revision()}: run handoff migrate"
