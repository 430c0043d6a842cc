"""The worker: sends what is due, does what the clock demands, forgets what nobody needs any more.

Woken by commits of any node. Any number of workers may run. What one of them has begun the others pass over.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from assist.assessing import Assessing
from assist.redaction import redact
from assist.rules import Rules
from db.leftovers import LEFTOVERS, forget
from db.session import Database
from notify.broadcast.wakeups import Wakeups
from notify.outbox import Outbox
from schema.context import utc_now
from server.assessors import make_assessors
from server.clock import Clock
from server.collector import settle_collector
from server.due_work import DueWork
from server.loops import Loop
from server.mailing import open_mail_server, warn_of_files
from server.outages import Outages
from server.process import make_note_outbox, make_outbox, open_database, open_wakeups
from server.settings import Settings

log = logging.getLogger(__name__)

_FORGET_SECONDS = 600.0
_FORGET_BATCH = 1_000
#: At the end of a worker. A note that is cut off is looked for before it is tried again.
_NOTES_MAY_TAKE_SECONDS = 5.0


@asynccontextmanager
async def working(settings: Settings, database: Database, wakeups: Wakeups) -> AsyncIterator[Outbox]:
    """Work while the block runs; at its end, finish the mails and notes that are under way."""
    async with AsyncExitStack() as stack:
        outbox = make_outbox(settings, database, open_mail_server(settings, stack))
        stack.push_async_callback(outbox.close)
        loops = _make_loops(settings, database, outbox)
        for loop in loops:
            loop.start()
        helpers = [
            asyncio.create_task(_wake(loops, wakeups)),
            asyncio.create_task(DueWork(database, settings.grace).keep_doing()),
            asyncio.create_task(_keep_forgetting(database)),
        ]
        try:
            yield outbox
        finally:
            await asyncio.gather(*(loop.end() for loop in loops))
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)


def _make_loops(settings: Settings, database: Database, outbox: Outbox) -> list[Loop]:
    loops = [Loop("mails", outbox.send_batch, stop=outbox.stop, rest=outbox.rest)]
    notes = make_note_outbox(settings, database)
    if notes is None:
        log.info("no encryption keys: this worker puts no notes into tickets")
    else:
        loops.append(Loop("notes", notes.send_due, stop=notes.stop, patience=_NOTES_MAY_TAKE_SECONDS))
    assessor_of = make_assessors(settings, database, rules=Rules(), redact=redact, now=utc_now)
    if assessor_of is not None:
        loops.append(Loop("assessments", Assessing(database, assessor_of, redact, utc_now).assess_batch))
    return loops


async def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    database, wakeups = open_database(settings), open_wakeups(settings)
    database.on_commit.append(wakeups.announce_commit)
    outages, clock = Outages(database), Clock(database, utc_now)
    await outages.start()
    await clock.start()
    await wakeups.start()
    try:
        async with working(settings, database, wakeups):
            settle_collector()
            warn_of_files(settings)
            log.info("worker started", extra={"loop": type(loop).__module__.partition(".")[0]})
            await stopped.wait()
            log.info("worker stopping")
    finally:
        await wakeups.stop()
        await clock.stop()
        await outages.stop()
        await database.dispose()


async def forget_leftovers(database: Database, *, limit: int = _FORGET_BATCH) -> int:
    """Forget what nobody needs any more, `limit` rows in a transaction; return how many that were in all."""
    now, forgotten = utc_now(), 0
    for leftover in LEFTOVERS:
        found = limit
        while found == limit:
            async with database.system() as tx:
                found = await forget(tx, leftover, now=now, limit=limit)
            forgotten += found
    return forgotten


async def _keep_forgetting(database: Database) -> None:
    while True:
        try:
            await forget_leftovers(database)
        except Exception:
            log.exception("leftovers not forgotten")
        await asyncio.sleep(_FORGET_SECONDS)


async def _wake(loops: Sequence[Loop], wakeups: Wakeups) -> None:
    async with aclosing(wakeups.listen()) as heard:
        async for _ in heard:
            for loop in loops:
                loop.wake()
