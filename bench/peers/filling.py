"""Fills a database with many rows: PostgreSQL by COPY, SQLite in one transaction."""

import asyncio
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
from sqlalchemy.engine import make_url

from bench.peers.rows import Rows
from db import migrate
from db.session import Database


async def make_tables(url: str) -> None:
    """Bring an empty database to the newest version."""
    database = Database(url)
    async with database.owning() as tx:
        await migrate.upgrade(tx)
    await database.dispose()


def make_tables_now(url: str) -> None:
    """Do so where no event loop runs."""
    asyncio.run(make_tables(url))


async def fill(url: str, *parts: Rows) -> None:
    """Store rows. Foreign keys are not checked meanwhile: that would take most of the time."""
    if make_url(url).get_backend_name() == "sqlite":
        _fill_sqlite(url, parts)
        return
    connection = await connect(url)
    await connection.execute("SET session_replication_role = replica")
    for rows in parts:
        for table, (columns, records) in rows.items():
            await connection.copy_records_to_table(table, columns=columns, records=records)
    await connection.close()


async def settle(url: str) -> None:
    """Do what autovacuum does within minutes, so that it does not begin in the middle of a turn."""
    if make_url(url).get_backend_name() == "sqlite":
        return
    connection = await connect(url)
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    await connection.close()


async def connect(url: str) -> asyncpg.Connection:
    """Open a connection of the owner of the tables."""
    plain = make_url(url).set(drivername="postgresql")
    return await asyncpg.connect(plain.render_as_string(hide_password=False))


def _fill_sqlite(url: str, parts: Sequence[Rows]) -> None:
    with sqlite3.connect(str(make_url(url).database)) as connection:
        for rows in parts:
            for table, (columns, records) in rows.items():
                marks = ", ".join("?" * len(columns))
                statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 (ours)
                connection.executemany(statement, ([_stored(value) for value in row] for row in records))
    connection.close()


def _stored(value: object) -> object:
    """Return a value as SQLAlchemy stores it in SQLite."""
    match value:
        case UUID():
            return value.hex
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S.%f")
        case _:
            return value
