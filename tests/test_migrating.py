"""A migration of a database that is used keeps nobody waiting for long, and is done whole or not at all."""

import asyncio

import pytest
from sqlalchemy import text

from db import migrate
from db.session import Database
from tests.client import SECRET
from tests.terminal import Terminal

pytestmark = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


async def test_a_table_that_others_read_for_long_is_left_to_them(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "_LOCK_SECONDS", 1)
    terminal = Terminal(secret=SECRET, database_url=database_url)
    async with database.owning() as tx:
        await migrate.downgrade(tx, "0012")

    async with database.owning() as dump:
        await dump.connection.execute(text("LOCK TABLE api_keys IN ACCESS SHARE MODE"))
        said = await asyncio.to_thread(terminal.refused, "migrate")
    async with database.owning() as tx:
        left_at = await migrate.current_revision(tx)
    afterwards = await asyncio.to_thread(terminal.ask, "migrate")

    assert said.startswith("others use a table that is to be changed, such as a dump or an export.")
    assert left_at == "0012"
    assert afterwards == f"Migrated from 0012 to {migrate.newest_revision()}.\n"
