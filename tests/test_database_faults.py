"""What tells that the database is away, rather than that something is wrong with what it was asked for."""

import asyncio
import socket
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from typing import cast as typed
from uuid import uuid4

import asyncpg
import pytest
import uvloop
from sqlalchemy import bindparam, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from db import accounts, events, presence, system
from db.errors import is_away, is_unwritable
from db.models import teams, users
from db.native import faults
from db.pooled import Pool
from db.prepared import run, value
from db.session import Database, Transaction
from tests.cast import Cast
from tests.feeds import rename_table
from tests.reaching import way_to
from tests.servers.postgres import PostgresServer
from tests.sockets import eventually
from tests.test_outages import prepare

Ask = Callable[[Database, Cast], Awaitable[object]]
RUNNING = """
FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active'
"""
_NAME = select(users.c.name).where(users.c.id == bindparam("id", type_=users.c.id.type))

_USERS = select(users.c.name)
_RENAMING = (
    update(users).where(users.c.id == value("id", users.c.id)).values(name="Robert").returning(users.c.id)
)


async def glance(database: Database, cast: Cast) -> None:
    """Ask past SQLAlchemy."""
    await database.glance(cast.account_id, _NAME, {"id": cast.bob.id})


async def glance_across(database: Database, cast: Cast) -> None:
    """Ask past SQLAlchemy, across accounts."""
    await system.find_users(database, [cast.bob.id])


async def read(database: Database, cast: Cast) -> None:
    """Ask by SQLAlchemy."""
    async with database.reading(cast.account_id) as tx:
        await accounts.by_id(tx)


async def read_across(database: Database, cast: Cast) -> None:
    """Ask by SQLAlchemy, across accounts."""
    async with database.system_reading() as tx:
        await system.latest_sequences(tx, [cast.account_id])


async def write(database: Database, cast: Cast) -> None:
    """Change something."""
    async with database.transaction(cast.account_id) as tx:
        await presence.disconnect(tx, uuid4())


async def write_across(database: Database, cast: Cast) -> None:
    """Change something, across accounts."""
    async with database.system() as tx:
        await system.forget_node(tx, uuid4())


async def write_past_sqlalchemy(database: Database, cast: Cast) -> None:
    """Change something, past SQLAlchemy."""
    async with database.transaction(cast.account_id) as tx:
        await run(tx, _RENAMING, {"id": cast.bob.id})


ASKED: list[Ask] = [glance, glance_across, read, read_across, write, write_across]


async def test_whoever_asks_for_anything_learns_that_the_database_is_away(
    database_url: str, cast: Cast
) -> None:
    async with way_to(database_url) as way:
        database = Database(way.url)
        for ask in ASKED:
            await ask(database, cast)
        await cast.database.dispose()
        await way.cut(database)

        met = [await fault_of(ask(database, cast)) for ask in (*ASKED, *ASKED)]
        assert [repr(fault) for fault in met if not is_away(fault)] == []

        await way.mend()
        for ask in ASKED:
            await ask(database, cast)
        await database.dispose()


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_a_connection_that_ended_between_two_statements_of_a_transaction_is_told_as_such(
    database_url: str, cast: Cast
) -> None:
    async def ask_twice(database: Database) -> None:
        async with database.transaction(cast.account_id) as tx:
            await run(tx, _USERS, {})
            await way.cut(database)
            await eventually(partial(has_ended, tx))
            await run(tx, _USERS, {})

    async def has_ended(tx: Transaction) -> bool:
        return tx.driver is not None and tx.driver.is_closed()

    async with way_to(database_url) as way:
        database = Database(way.url)
        assert is_away(await fault_of(ask_twice(database)))
        await way.mend()
        await write(database, cast)
        await database.dispose()


async def test_connections_of_a_server_that_has_stopped_this_moment_are_told_as_such(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HANDOFF_TEST_DATABASE_URL", raising=False)  # one that is not ours must not be stopped
    with PostgresServer() as postgres:
        postgres.create_database("stopped")
        database = Database(url := postgres.url("stopped"))
        cast = await prepare(url)
        for ask in (glance, glance_across):
            await ask(database, cast)

        postgres.stop()  # the event loop does not turn meanwhile: nobody has heard of it

        new = [select(text(f"{number}")) for number in range(2)]
        met = [
            await fault_of(database.system_glance(new[0], {})),
            await fault_of(database.glance(cast.account_id, new[1], {})),
        ]
        assert [repr(fault) for fault in met if not is_away(fault)] == []
        await database.dispose()


@pytest.mark.parametrize("loop_of", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_connections_do_not_bear_a_server_that_vanishes_without_a_word(
    monkeypatch: pytest.MonkeyPatch, loop_of: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    monkeypatch.delenv("HANDOFF_TEST_DATABASE_URL", raising=False)  # one that is not ours may not use TCP

    async def look() -> list[dict[str, int]]:
        await prepare(url)
        database = Database(url)
        pools = (database._writer, database._reader, database._system, database._system_reader)
        found = [await patience_of(pool) for pool in pools]
        await database.dispose()
        return found

    with PostgresServer(tcp=True) as postgres, asyncio.Runner(loop_factory=loop_of) as runner:
        postgres.create_database("vanishing")
        url = postgres.url("vanishing")
        found = runner.run(look())

    alive = {"SO_KEEPALIVE": 1, "TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
    assert found == [alive | {"TCP_USER_TIMEOUT": 25_000}] * 4


async def patience_of(pool: Pool) -> dict[str, int]:
    """Return what the system is told of how long a connection of a pool may hear nothing."""
    pooled = await pool.engine.raw_connection()
    opened = typed("Any", pooled.driver_connection)._transport.get_extra_info("socket")
    names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
    told = {name: opened.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names}
    told["SO_KEEPALIVE"] = opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    pooled.close()
    return told


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_connection_that_ended_while_it_was_set_up_is_told_as_such(wrapped: bool) -> None:
    fault = asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")

    assert is_away(DBAPIError(None, None, fault) if wrapped else fault)


def test_other_faults_of_the_driver_itself_are_no_outage() -> None:
    assert not is_away(DBAPIError(None, None, asyncpg.InternalClientError("_on_result: waiter is done")))
    assert not is_away(DBAPIError(None, None, asyncpg.OutdatedSchemaCacheError("a type has changed")))


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("stop", "says_away"), [("pg_terminate_backend", True), ("pg_cancel_backend", False)]
)
@pytest.mark.parametrize("is_past_sqlalchemy", [True, False])
async def test_a_connection_that_is_ended_amid_a_statement_is_told_from_a_statement_that_is(
    cast: Cast, stop: str, is_past_sqlalchemy: bool, says_away: bool
) -> None:
    database = cast.database
    slow = select(text("pg_sleep(60)"))

    async def ask() -> None:
        if is_past_sqlalchemy:
            await database.glance(cast.account_id, slow, {})
        else:
            async with database.reading(cast.account_id) as tx:
                await tx.fetch_value(slow)

    asking = asyncio.create_task(ask())

    async def has_ended() -> bool:
        async with database.owning() as tx:
            await tx.execute(text(f"SELECT {stop}(pid) {RUNNING}"))
        return asking.done()

    await eventually(has_ended)

    assert is_away(await fault_of(asking)) == says_away


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_a_server_that_lets_nobody_in_is_away(cast: Cast, database_url: str) -> None:
    """As one that is starting does; this one has no connection left for a role."""
    role = f"crowded_{uuid4().hex}"
    async with cast.database.owning() as tx:
        await tx.connection.execute(text(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0 IN ROLE handoff_app"))
    address = make_url(database_url).set(username=role)
    database = Database(address.render_as_string(hide_password=False))

    assert is_away(await fault_of(glance(database, cast)))

    async with cast.database.owning() as tx:
        await tx.connection.execute(text(f"DROP ROLE {role}"))


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_a_file_that_another_keeps_locked_is_away(database_url: str, cast: Cast) -> None:
    file = Path(make_url(database_url).database or "")
    with (
        closing(sqlite3.connect(file, isolation_level=None)) as writer,
        closing(sqlite3.connect(file, isolation_level=None, timeout=0)) as waiting,
    ):
        writer.execute("BEGIN IMMEDIATE")

        async def begin() -> None:
            with faults():
                waiting.execute("BEGIN IMMEDIATE")

        assert is_away(await fault_of(begin()))


async def test_a_database_that_may_be_read_and_not_written_is_away_for_who_writes(
    database_url: str, cast: Cast
) -> None:
    database = Database(database_url)
    await set_writable(database, cast, is_writable=False)

    met = [await fault_of(ask(database, cast)) for ask in (write, write_across, write_past_sqlalchemy)]
    await glance(database, cast)

    assert [(is_away(fault), is_unwritable(fault)) for fault in met] == [(True, True)] * 3
    await set_writable(database, cast, is_writable=True)
    for ask in (write_past_sqlalchemy, write_across, write):
        await ask(database, cast)
    await database.dispose()


async def set_writable(database: Database, cast: Cast, *, is_writable: bool) -> None:
    """Let a database be written, or not, by the connections that are opened from now on."""
    if database.is_sqlite:  # as on a file system that was mounted so
        if is_writable:
            await database.dispose()
        else:
            async with database.transaction(cast.account_id) as tx:
                await tx.execute(text("PRAGMA query_only = ON"))
        return
    async with cast.database.owning() as tx:
        await tx.execute(text("SET TRANSACTION READ WRITE"))
        name = await tx.fetch_value(text("SELECT current_database()"))
        setting = "off" if is_writable else "on"
        await tx.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {setting}'))


async def test_what_is_wrong_with_what_is_asked_is_no_absence(cast: Cast) -> None:
    database = cast.database

    async def break_a_rule() -> None:
        async with database.transaction(cast.account_id) as tx:
            await tx.execute(update(teams).values(name=None))

    met = [await fault_of(break_a_rule())]
    await rename_table(database, "users", "gone")
    met += [await fault_of(ask(database, cast)) for ask in (glance, glance_across)]
    await rename_table(database, "events", "gone_too")

    async def read_events() -> None:
        async with database.reading(cast.account_id) as tx:
            await events.after(tx, 0, limit=1)

    met.append(await fault_of(read_events()))

    met.append(LookupError("none"))
    assert [(is_away(fault), is_unwritable(fault)) for fault in met] == [(False, False)] * 5


async def fault_of(work: Awaitable[object]) -> Exception:
    """Return what a piece of work raises."""
    try:
        await work
    except Exception as fault:  # noqa: BLE001  # what it is, is the question
        return fault
    raise AssertionError("it went well")
