"""After a failover of PostgreSQL: whoever reads finds the new primary, too."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import select, text

from db import engines
from db.session import Database
from tests.cast import Cast
from tests.servers.postgres import PostgresServer
from tests.test_database_faults import set_writable
from tests.test_outages import prepare

SOON = 0.2
SERVED_BY = select(text("pg_backend_pid()"))


async def served_reading(database: Database, cast: Cast) -> int:
    """Return the server's process of who reads in an account."""
    async with database.reading(cast.account_id) as tx:
        return int(await tx.fetch_value(SERVED_BY))


async def served_glancing(database: Database, cast: Cast) -> int:
    """Return that of who reads in an account past SQLAlchemy."""
    return int((await database.glance(cast.account_id, SERVED_BY, {}))[0][0])


async def served_across(database: Database, _: Cast) -> int:
    """Return that of who reads across accounts."""
    async with database.system_reading() as tx:
        return int(await tx.fetch_value(SERVED_BY))


READERS = pytest.mark.parametrize("served", [served_reading, served_glancing, served_across])
Served = Callable[[Database, Cast], Awaitable[int]]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let connections to what can only be read be kept no longer than this."""
    monkeypatch.setattr(engines, "_READ_ONLY_SECONDS", SOON)


@READERS
@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_whoever_reads_leaves_a_server_that_can_only_be_read(
    database_url: str, cast: Cast, served: Served
) -> None:
    database = Database(database_url)
    await set_writable(database, cast, is_writable=False)
    first = await served(database, cast)
    await set_writable(database, cast, is_writable=True)  # the address leads to the primary

    await asyncio.sleep(SOON)
    new = await served(database, cast)
    await asyncio.sleep(SOON)

    assert first != new == await served(database, cast)
    await database.dispose()


async def test_a_standby_is_left_until_it_is_a_primary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HANDOFF_TEST_DATABASE_URL", raising=False)  # one that is not ours must not be stopped
    with PostgresServer() as postgres:
        postgres.create_database("demoted")
        database = Database(url := postgres.url("demoted"))
        cast = await prepare(url)
        postgres.stop()
        (postgres.folder / "data" / "standby.signal").touch()
        postgres.start()

        seen = []
        for _ in range(2):
            seen.append(await served_reading(database, cast))
            await asyncio.sleep(SOON)
        async with database.owning() as tx:
            await tx.execute(text("SELECT pg_promote()"))
        for _ in range(2):
            seen.append(await served_reading(database, cast))
            await asyncio.sleep(SOON)

        assert len(set(seen)) == 3
        assert seen[2] == seen[3]
        await database.dispose()
