"""The worker's loop: sends what is due, woken by commits of any node, and by the clock."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from db.session import Database
from notify.broadcast.wakeups import Wakeups
from notify.outbox import Outbox
from server.process import make_outbox, open_database, open_mail_server, open_wakeups
from server.settings import Settings

log = logging.getLogger(__name__)


@asynccontextmanager
async def working(settings: Settings, database: Database, wakeups: Wakeups) -> AsyncIterator[Outbox]:
    """Send mails while the block runs; at its end, finish those that are being handed in."""
    async with AsyncExitStack() as stack:
        outbox = make_outbox(settings, database, open_mail_server(settings, stack))
        tasks = [asyncio.create_task(outbox.run()), asyncio.create_task(_wake(outbox, wakeups))]
        try:
            yield outbox
        finally:
            outbox.stop()
            await tasks[0]
            tasks[1].cancel()
            await asyncio.gather(tasks[1], return_exceptions=True)


async def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    database, wakeups = open_database(settings), open_wakeups(settings)
    await wakeups.start()
    try:
        async with working(settings, database, wakeups):
            log.info("worker started")
            await stopped.wait()
            log.info("worker stopping")
    finally:
        await wakeups.stop()
        await database.dispose()


async def _wake(outbox: Outbox, wakeups: Wakeups) -> None:
    async for _ in wakeups.listen():
        outbox.wake()
