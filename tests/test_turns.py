"""Connections are given out in the order in which they are asked for; whoever waits is passed by nobody."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as NoneLeftError

from db.session import SystemTransaction
from tests.cast import Cast

#: More than there are connections of any kind.
EAGER = 20
TIMES = 10

Open = Callable[[], AbstractAsyncContextManager[SystemTransaction]]


@pytest.mark.parametrize("kind", ["transaction", "reading", "system", "system_reading"])
async def test_whoever_waits_comes_before_those_who_come_later(cast: Cast, kind: str) -> None:
    open_ = opener(cast, kind)
    served, passed_by = 0, []

    async def use_without_a_pause() -> None:
        nonlocal served
        for _ in range(TIMES):
            before = served
            async with open_() as tx:
                passed_by.append(served - before)
                await tx.fetch_value(text("SELECT 1"))
                served += 1

    for _ in range(2):  # the first time, connections are opened
        passed_by.clear()
        async with asyncio.TaskGroup() as group:
            for _ in range(EAGER):
                group.create_task(use_without_a_pause())

    assert max(passed_by) <= EAGER


async def test_who_gives_up_waiting_takes_no_turn_from_others(cast: Cast) -> None:
    open_ = opener(cast, "transaction")

    async def use() -> None:
        async with open_() as tx:
            await tx.fetch_value(text("SELECT 1"))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(use()) for _ in range(EAGER * 3)]
        await asyncio.sleep(0)
        for task in tasks[1::2]:
            task.cancel()

    assert sum(task.cancelled() for task in tasks) >= EAGER
    await asyncio.gather(*(use() for _ in range(EAGER)))


async def test_who_finds_all_in_use_is_told_so_in_time(cast: Cast) -> None:
    database = cast.database
    pool = database._writer
    pool._patience = 0.05
    async with asyncio.TaskGroup() as group:
        enough, held = asyncio.Event(), [asyncio.Event() for _ in range(1 if database.is_sqlite else 15)]

        async def hold(event: asyncio.Event) -> None:
            async with database.transaction(cast.account_id):
                event.set()
                await enough.wait()

        for event in held:
            group.create_task(hold(event))
        await asyncio.gather(*(event.wait() for event in held))

        with pytest.raises(NoneLeftError, match="no connection was free"):
            async with database.transaction(cast.account_id):
                pass
        enough.set()

    async with database.transaction(cast.account_id) as tx:
        assert await tx.fetch_value(text("SELECT 1")) == 1


def opener(cast: Cast, kind: str) -> Open:
    open_: Callable[..., AbstractAsyncContextManager[SystemTransaction]] = getattr(cast.database, kind)
    return partial(open_, cast.account_id) if kind in ("transaction", "reading") else open_
