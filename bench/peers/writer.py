"""Changes an account at an even pace from a process of its own, as another node would.

Each change is a transaction of its own that is acknowledged before the next: a session in the queue makes a
step, and the event tells of it, as `updateSession` does.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from typing import cast
from uuid import UUID

from bench.peers.cores import LOAD_CORE, pin
from bench.peers.filling import connect

_STEP = """
WITH changed AS (
    UPDATE sessions SET step_count = step_count + 1 WHERE account_id = $1 AND id = $2 RETURNING id
), counter AS (
    UPDATE account_counters SET event_sequence = event_sequence + 1 WHERE account_id = $1
    RETURNING event_sequence
)
INSERT INTO events (account_id, sequence, kind, at, session_id, summary)
SELECT $1, counter.event_sequence, 'SESSION_UPDATED', now(), changed.id, 'updated the session'
  FROM changed, counter
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is changed, and how often."""

    url: str
    account_id: UUID
    sessions: list[UUID]  #: in turns
    each_second: float


@contextmanager
def changing(changes: Changes | None) -> Iterator["Synchronized[int]"]:
    """Make changes for as long as the block lasts, None for none; count them.

    Raises:
        RuntimeError: the writer gave up meanwhile.
    """
    context = multiprocessing.get_context("spawn")
    made = cast("Synchronized[int]", context.Value("q", 0))
    if changes is None:
        yield made
        return
    over = context.Event()
    process = context.Process(target=_write, args=(changes, made, over), daemon=True)
    process.start()
    try:
        yield made
    finally:
        has_failed = not process.is_alive()
        over.set()
        process.join()
    if has_failed:
        raise RuntimeError("the writer gave up")


def _write(changes: Changes, made: "Synchronized[int]", over: Event) -> None:
    pin(LOAD_CORE)
    asyncio.run(_change(changes, made, over))


async def _change(changes: Changes, made: "Synchronized[int]", over: Event) -> None:
    connection = await connect(changes.url)
    step = await connection.prepare(_STEP)
    began = time.monotonic()
    while not over.is_set():
        session_id = changes.sessions[made.value % len(changes.sessions)]
        await step.fetch(changes.account_id, session_id)
        made.value += 1
        await asyncio.sleep(max(0.0, began + made.value / changes.each_second - time.monotonic()))
    await connection.close()
