"""A feed to be followed by tests, and what they make it say."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import text

from db import events
from db.enums import EventKind
from db.events import Event, EventRow
from db.session import Database, Transaction
from notify.broadcast.wakeups import Wakeups
from notify.feed import Feed
from notify.subscribers import Heard, Subscriber
from tests.patience import PATIENCE

NEVER = 3600.0  #: seconds between two comparisons, where a test is to do without them


def anything(_: EventRow) -> bool:
    """Want every event."""
    return True


@asynccontextmanager
async def running_feed(
    database: Database, *elsewhere: Database, poll_seconds: float = NEVER
) -> AsyncIterator[Feed]:
    """Run the feed of a node.

    It hears of the commits made through its own database object, and those of other nodes, and of no other.
    """
    wakeups = Wakeups("memory://")
    for each in (database, *elsewhere):
        each.on_commit.append(wakeups.announce_commit)
    feed = Feed(database, wakeups, poll_seconds=poll_seconds)
    await wakeups.start()
    await feed.start()
    try:
        yield feed
    finally:
        await feed.stop()
        await wakeups.stop()


async def commit(database: Database, account_id: UUID, count: int = 1) -> int:
    """Commit that many events together and return the number of the last."""
    sequence = 0
    async with database.transaction(account_id) as tx:
        for _ in range(count):
            sequence = await append(tx)
    return sequence


async def append(tx: Transaction) -> int:
    """Append an event and return its number."""
    event = Event(kind=EventKind.SESSION_UPDATED, at=datetime.now(UTC), summary="changed it")
    return await events.append(tx, event)


async def hear(subscriber: Subscriber, count: int = 1) -> list[Heard]:
    """Wait for the next events."""
    found = [await subscriber.next(within=PATIENCE) for _ in range(count)]
    return [heard for heard in found if heard is not None]


def numbers(found: list[Heard]) -> list[int]:
    """Return the numbers of events that were heard."""
    return [heard.event.sequence for heard in found]


async def rename_table(database: Database, old: str, new: str) -> None:
    """Take a table out of the reach of those who ask for it, or bring it back."""
    async with database.owning() as tx:
        await tx.connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))


def said(caplog: pytest.LogCaptureFixture, message: str) -> Callable[[], Awaitable[bool]]:
    """Return a question: was this logged?"""

    async def ask() -> bool:
        return message in caplog.messages

    return ask


def faults(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged as a fault, or with a traceback."""
    records = [record for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info]
    return [record.getMessage() for record in records]
