"""Whoever is cancelled, or gives up waiting, leaves no lock, no open transaction, and a pool that works."""

import asyncio
import random
from collections.abc import Awaitable
from uuid import UUID

import pytest
from sqlalchemy import select, text, update

from db import sessions
from db import users as stored
from db.models import sessions as sessions_table
from db.models import users
from db.prepared import run
from db.session import Transaction
from tests.cast import Cast
from tests.sockets import eventually

on_postgresql = pytest.mark.parametrize("engine", ["postgresql"])
on_sqlite = pytest.mark.parametrize("engine", ["sqlite"])

ALL_USERS = select(users.c.account_id)
OPEN = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
"""
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


class GaveUpError(Exception):
    """Somebody swallowed a cancellation, as `asyncio.timeout` does."""


async def test_work_that_is_cancelled_anywhere_leaves_everything_as_it_was(cast: Cast) -> None:
    dice = random.Random(7)  # noqa: S311 (moments, not secrets)
    owners = {cast.account_id: cast.alice, cast.other_account_id: cast.charlie}
    held = {account_id: (await cast.start_session(owner=owner)).id for account_id, owner in owners.items()}
    before = await cast.all_rows()

    for _ in range(4):
        tasks = [asyncio.create_task(work(cast, *dice.choice([*held.items()]))) for _ in range(60)]
        for task in tasks:
            asyncio.get_running_loop().call_later(dice.random() / 10, task.cancel)
        ends = await asyncio.gather(*tasks, return_exceptions=True)

        assert {type(end) for end in ends} <= {type(None), asyncio.CancelledError}
        if not cast.database.is_sqlite:
            await nothing_is_open(cast)

    assert await cast.all_rows() == before
    await asyncio.gather(*(work(cast, *each) for each in held.items() for _ in range(20)))
    assert (await cast.start_session()).owner_id == cast.alice.id


@on_postgresql
async def test_who_gives_up_waiting_for_the_first_statement_leaves_no_transaction(cast: Cast) -> None:
    session = await cast.start_session()

    async def give_up() -> None:
        async with cast.database.transaction(cast.account_id) as tx:
            await sessions.hold(tx, session.id)
            try:
                await sessions.by_ids(tx, [session.id])
            except asyncio.CancelledError:
                raise GaveUpError from None

    async def is_waiting() -> bool:
        return await count(cast, WAITING) == 1

    async with cast.database.transaction(cast.account_id) as tx:
        await sessions.lock(tx, session.id)
        waiting = asyncio.create_task(give_up())
        await eventually(is_waiting)
        waiting.cancel()
        with pytest.raises(GaveUpError):
            await waiting

    await nothing_is_open(cast)


@on_postgresql
async def test_a_connection_whose_work_took_too_long_is_used_no_more(cast: Cast) -> None:
    used: list[Transaction] = []

    async def take_too_long() -> None:
        async with cast.database.reading(cast.account_id) as tx:
            await stored.by_ids(tx, [cast.alice.id])
            used.append(tx)
            raise TimeoutError

    with pytest.raises(TimeoutError):
        await take_too_long()

    (tx,) = used
    assert tx.driver is not None
    assert tx.driver.is_closed()


@on_sqlite
async def test_a_connection_that_ends_amid_a_read_locks_the_file_no_more(cast: Cast) -> None:
    held: list[object] = []

    async def leave() -> None:
        async with cast.database.transaction(cast.account_id) as tx:
            driver = await tx.sqlite_driver()  # nobody else writes from here on
            cursor = await driver.cursor()
            held.append(await cursor.execute("SELECT id FROM users"))
            await tx.connection.invalidate()  # as SQLAlchemy does where its statement is cancelled
            raise GaveUpError

    with pytest.raises(GaveUpError):
        await leave()

    assert (await cast.start_session("Next")).problem_summary == "Next"
    assert len(held) == 1


async def work(cast: Cast, account_id: UUID, session_id: UUID) -> None:
    """Read in every way, and write what is not kept."""
    await expect_own(cast, account_id, cast.database.glance(account_id, ALL_USERS, {}))
    async with cast.database.reading(account_id) as tx:
        await expect_own(cast, account_id, run(tx, ALL_USERS, {}))
        await sessions.by_ids(tx, [session_id])
    async with cast.database.snapshot(account_id) as tx:
        await expect_own(cast, account_id, run(tx, ALL_USERS, {}))
    with pytest.raises(GaveUpError):
        await write(cast, account_id, session_id)


async def write(cast: Cast, account_id: UUID, session_id: UUID) -> None:
    async with cast.database.transaction(account_id) as tx:
        await sessions.hold(tx, session_id)
        await tx.execute(update(sessions_table).where(tx.own(sessions_table)).values(problem_domain="lost"))
        await expect_own(cast, account_id, run(tx, ALL_USERS, {}))
        raise GaveUpError


async def expect_own(cast: Cast, account_id: UUID, read: Awaitable[object]) -> None:
    """Let row-level security show the rows of one account alone. SQLite has none."""
    rows = await read
    assert isinstance(rows, list)
    if not cast.database.is_sqlite:
        assert {row[0] for row in rows} == {account_id}


async def nothing_is_open(cast: Cast) -> None:
    async def none_is() -> bool:
        return await count(cast, OPEN) == 0

    await eventually(none_is)


async def count(cast: Cast, statement: str) -> int:
    async with cast.database.owning() as tx:
        return int((await tx.connection.execute(text(statement))).scalar_one())
