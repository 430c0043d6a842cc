"""The connections of a process to PostgreSQL: shared with SQLAlchemy, given up when lost, never too many."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.exc import DBAPIError

from db import sessions, users
from db.errors import is_away
from db.models import teams
from db.native import NativeConnection
from db.prepared import run, value
from db.session import Database
from tests.cast import Cast
from tests.sockets import eventually
from tests.test_database_faults import fault_of, read_across

pytestmark = pytest.mark.parametrize("engine", ["postgresql"])
TERMINATE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
COUNT = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


async def test_connections_that_the_server_has_ended_fail_nobody(cast: Cast) -> None:
    database = cast.database
    drivers = await use_many(database, cast, 40)
    async with database.owning() as tx:
        await tx.connection.execute(text(TERMINATE))

    async def all_ended() -> bool:
        return all(driver.is_closed() for driver in drivers)

    await eventually(all_ended)

    assert not await use_many(database, cast, 40) & drivers


async def test_connections_that_the_server_has_ended_fail_nobody_across_accounts(cast: Cast) -> None:
    database = cast.database

    async def ask() -> list[Any]:
        drivers: list[Any] = []
        for opened in (database.system, database.system_reading):
            async with opened() as tx:
                await tx.fetch_value(select(1))
                drivers.append((await tx.connection.get_raw_connection()).driver_connection)
        return drivers

    drivers = await ask()
    async with database.owning() as tx:
        await tx.connection.execute(text(TERMINATE))

    async def all_ended() -> bool:
        return all(driver.is_closed() for driver in drivers)

    await eventually(all_ended)

    assert not set(await ask()) & set(drivers)


async def test_connections_that_end_as_soon_as_they_are_opened_are_told_as_such(
    database_url: str, cast: Cast
) -> None:
    """As those are to a server that is restarted under load."""
    database = Database(database_url)
    await use(database, cast)
    await read_across(database, cast)
    await database.dispose()

    def end(connection: Any, _: object) -> None:  # noqa: ANN401 (SQLAlchemy's own)
        if len(opened) < 3:
            connection.driver_connection.terminate()
        opened.append(connection)

    for pool in (database._reader, database._system_reader):
        opened: list[Any] = []
        event.listen(pool.engine.sync_engine, "connect", end)
        if pool is database._reader:
            await use(database, cast)
        else:
            assert is_away(await fault_of(read_across(database, cast)))
    await database.dispose()


async def test_no_more_connections_are_opened_than_are_kept(database_url: str, cast: Cast) -> None:
    database = Database(database_url)

    async def count() -> int:
        async with cast.database.owning() as tx:
            return int((await tx.connection.execute(text(COUNT))).scalar_one())

    before = await count()
    await use_many(database, cast, 100)
    after_first = await count()
    drivers = await use_many(database, cast, 100)

    assert after_first - before == 25  # 10 that read and 15 that write
    assert await count() == after_first
    assert len(drivers) <= 25
    await database.dispose()


async def test_statements_past_sqlalchemy_and_its_own_are_of_one_transaction(cast: Cast) -> None:
    session = await cast.start_session("Before")
    seen: list[str | None] = []

    async def fail() -> None:
        async with cast.database.transaction(cast.account_id) as tx:
            await sessions.change(tx, session.id, {"problem_summary": "Meanwhile"})  # SQLAlchemy's
            seen.append((await sessions.by_ids(tx, [session.id]))[session.id].problem_summary)  # past it
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    async with cast.database.reading(cast.account_id) as tx:
        found = (await sessions.by_ids(tx, [session.id]))[session.id]
    assert (seen, found) == (["Meanwhile"], session)


async def test_what_was_lost_in_a_transaction_is_not_said_to_be_stored(cast: Cast) -> None:
    before = await cast.all_rows()

    async def swallow_an_error() -> None:
        async with cast.database.transaction(cast.account_id) as tx:
            await tx.execute(update(teams).values(name="Night shift"))
            with pytest.raises(DBAPIError, match="row-level security"):
                await tx.execute(update(teams).values(account_id=None))

    with pytest.raises(DBAPIError, match="had failed"):
        await swallow_an_error()

    assert await cast.all_rows() == before
    await use(cast.database, cast)


async def test_a_transaction_that_asks_nothing_tells_the_server_nothing(cast: Cast) -> None:
    sent: list[Any] = []
    async with cast.database.transaction(cast.account_id) as tx:
        driver = tx.driver
        assert driver is not None
        with driver.query_logger(sent.append):
            pass

    assert sent == []
    assert not driver.is_in_transaction()


async def test_a_statement_whose_value_is_forgotten_is_not_asked_with_null(cast: Cast) -> None:
    async with cast.database.transaction(cast.account_id) as tx:
        with pytest.raises(KeyError, match="_name"):
            await run(tx, select(teams.c.id).where(teams.c.name == value("name", teams.c.name)), {})


async def use_many(database: Database, cast: Cast, times: int) -> set[NativeConnection]:
    """Read and write at once, by one connection each, and return those that were used."""
    used = await asyncio.gather(*(use(database, cast) for _ in range(times)))
    return {driver for both in used for driver in both}


async def use(database: Database, cast: Cast) -> list[NativeConnection]:
    """Read and write by one connection each, and return both."""
    used = []
    for begin in (database.reading, database.transaction):
        async with begin(cast.account_id) as tx:
            await users.by_ids(tx, [cast.alice.id])
            assert tx.driver is not None
            used.append(tx.driver)
    return used
