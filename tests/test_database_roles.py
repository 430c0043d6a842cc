"""The roles of PostgreSQL belong to its whole server; who owns the tables need be no superuser."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from db import migrate
from db.session import Database, SystemTransaction
from tests.cast import make_cast
from tests.client import SECRET
from tests.patience import PATIENCE
from tests.servers.postgres import PostgresServer
from tests.servers.processes import HandoffProcess

COMPOSE = Path(__file__).parent.parent / "compose.yaml"
PROTECTION = text(
    "SELECT count(*) FILTER (WHERE policyname = 'handoff_app'), "
    "count(*) FILTER (WHERE policyname = 'handoff_worker') FROM pg_policies"
)


@pytest.fixture
def bare_server() -> Iterator[PostgresServer]:
    """A server on which nothing was ever migrated."""
    with PostgresServer() as server:
        if not server.is_ours:
            pytest.skip("needs a PostgreSQL server without the roles")
        yield server


async def test_databases_of_one_server_may_be_migrated_at_the_same_time(bare_server: PostgresServer) -> None:
    names = ["one", "two"]
    with ExitStack() as stack:
        processes = []
        for name in names:
            bare_server.create_database(name)
            env = {"HANDOFF_DATABASE_URL": bare_server.url(name), "HANDOFF_SECRET": SECRET}
            processes.append(stack.enter_context(HandoffProcess("migrate", env=env)))
        codes = [await asyncio.to_thread(process.wait, PATIENCE) for process in processes]
        said = [process.stdout for process in processes]
    policies = [await _policies(_open(bare_server, name)) for name in names]

    assert codes == [0, 0]
    assert said == [f"Migrated from nothing to {migrate.newest_revision()}.\n"] * 2
    assert policies[0][0] == policies[0][1] > 0
    assert policies[1] == policies[0]


@pytest.mark.parametrize(
    "preparation",
    [
        ["CREATE ROLE owner LOGIN CREATEROLE"],
        [
            "CREATE ROLE handoff_app",
            "CREATE ROLE handoff_worker",
            "CREATE ROLE owner LOGIN",
            "GRANT handoff_app, handoff_worker TO owner",
        ],
    ],
    ids=["makes the roles", "was given the roles"],
)
async def test_an_owner_who_is_no_superuser_migrates_and_serves(
    bare_server: PostgresServer, preparation: list[str]
) -> None:
    bare_server.create_database("handoff")
    administrator = _open(bare_server, "handoff")
    async with administrator.owning() as tx:
        for statement in [*preparation, "ALTER DATABASE handoff OWNER TO owner"]:
            await tx.connection.execute(text(statement))
    database = _open(bare_server, "handoff", user="owner")

    await _migrate(database)
    cast = await make_cast(database)
    async with database.reading(cast.account_id) as tx:
        own = await _user_and_count(tx)
    async with database.system_reading() as system:
        all_ = await _user_and_count(system)

    assert (own, all_) == (("handoff_app", 6), ("handoff_worker", 7))
    await database.dispose()
    await administrator.dispose()


async def test_the_containers_make_an_owner_who_is_no_superuser(bare_server: PostgresServer) -> None:
    for statement in _statements_of_compose(password="hunter2"):
        await asyncio.to_thread(bare_server._administrating().execute, statement)
    database = _open(bare_server, "handoff", user="handoff")

    await _migrate(database)
    cast = await make_cast(database)
    async with database.reading(cast.account_id) as tx:
        own = await _user_and_count(tx)
    async with database.owning() as owning:
        is_superuser = await owning.fetch_value(
            text("SELECT rolsuper FROM pg_roles WHERE rolname = 'handoff'")
        )

    assert own == ("handoff_app", 6)
    assert is_superuser is False
    await database.dispose()


def _statements_of_compose(*, password: str) -> list[str]:
    """Return what `compose.yaml` has PostgreSQL run on its first start."""
    script = re.search(r"<<'SQL'\n(.+?)\n +SQL\n", COMPOSE.read_text(), re.DOTALL)
    assert script is not None
    statements = [statement.strip() for statement in script[1].split(";") if statement.strip()]
    assert len(statements) == 3
    return [statement.replace(":'password'", f"'{password}'") for statement in statements]


def _open(server: PostgresServer, name: str, *, user: str | None = None) -> Database:
    url = make_url(server.url(name))
    url = url if user is None else url.set(username=user)
    return Database(url.render_as_string(hide_password=False))


async def _migrate(database: Database) -> None:
    async with database.owning() as tx:
        await migrate.upgrade(tx)


async def _policies(database: Database) -> tuple[int, int]:
    """Return how many policies each role has."""
    async with database.owning() as tx:  # keeps no connection
        of_app, of_worker = (await tx.connection.execute(PROTECTION)).one()
    return of_app, of_worker


async def _user_and_count(tx: SystemTransaction) -> tuple[str, int]:
    """Return the role of a transaction, and how many users it sees."""
    row = await tx.connection.execute(text("SELECT current_user::text, count(*) FROM users"))
    user, count = row.one()
    return user, count
