"""The migrations reach the models: they make what `db/models` says, on both engines."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.schema import SchemaItem

from db import idempotency, migrate
from db.enums import ApiKeyScope, HandoffIntent
from db.models import deliveries, delivery_attempts, metadata, psa_connections
from db.session import Database, SystemTransaction
from resolvers import api_keys, handing_off
from resolvers.new_handoffs import NewHandoff
from tests.cast import Cast

#: Everything that PostgreSQL knows of the tables, a line of text each.
POSTGRESQL = """
SELECT concat_ws(' ', 'column', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                 CASE WHEN a.attnotnull THEN 'NOT NULL' END, a.attidentity, a.attgenerated,
                 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid))
  FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
 UNION ALL
SELECT concat_ws(' ', 'table', relname, array_to_string(reloptions, ' '))
  FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
 UNION ALL
SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid))
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace
 UNION ALL
SELECT concat_ws(' ', 'index', tablename, indexdef) FROM pg_indexes WHERE schemaname = 'public'
"""


async def test_the_migrations_make_the_tables_of_the_models(database: Database) -> None:
    async with database.owning() as tx:
        migrated = await _tables(tx)
        await migrate.downgrade(tx, "base")
        await tx.connection.run_sync(metadata.create_all)
        modelled = await _tables(tx)

    assert len(modelled) > len(metadata.tables)
    assert migrated == modelled


async def test_alembic_finds_nothing_left_to_migrate(database: Database) -> None:
    async with database.owning() as tx:
        differences = await tx.connection.run_sync(
            lambda connection: compare_metadata(
                MigrationContext.configure(
                    connection,
                    opts={
                        "compare_type": True,
                        "compare_server_default": True,
                        "include_object": lambda found, *_: _is_on(connection.dialect.name, found),
                    },
                ),
                metadata,
            )
        )
        revision = await migrate.current_revision(tx)

    assert differences == []
    assert revision == migrate.newest_revision()


async def test_the_way_down_to_nothing_and_up_again_leads_to_the_same_tables(database: Database) -> None:
    async with database.owning() as tx:
        before = await _tables(tx)
        await migrate.downgrade(tx, "base")
        nothing = await _tables(tx)
        revision = await migrate.current_revision(tx)
        await migrate.upgrade(tx)
        after = await _tables(tx)

    assert (nothing, revision) == ([], None)
    assert after == before


def _is_on(engine: str, found: SchemaItem) -> bool:
    """Tell whether an engine has what the models hold: Alembic does not ask `ddl_if` (1.20.1)."""
    return bool(found.info.get("engine", engine) == engine)


async def _tables(tx: SystemTransaction) -> list[str]:
    """Return all that the database knows of its tables, a line each, without Alembic's own."""
    if tx.is_postgresql:
        found = (await tx.connection.execute(text(POSTGRESQL))).scalars().all()
    else:
        stored = await tx.connection.execute(
            text("SELECT sql FROM sqlite_master WHERE type IN ('table', 'index') AND sql IS NOT NULL")
        )
        found = [line for sql in stored.scalars() for line in _lines(sql)]
    return sorted(line for line in found if "alembic_version" not in line)


def _lines(sql: str) -> Iterator[str]:
    """Yield a line for each column and constraint of CREATE TABLE, whose order and spacing mean nothing."""
    plain = re.sub(r'["\s]+', " ", sql).strip()
    head, _, body = plain.partition("(")
    if not plain.startswith("CREATE TABLE"):
        yield plain
        return
    depth, part = 0, ""
    for character in f"{body.rpartition(')')[0]},":
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            yield f"{head.strip()}: {part.strip()}"
            part = ""
        else:
            part += character


async def test_deliveries_and_their_attempts_outlast_the_step_to_notes_and_back(
    database: Database, cast: Cast
) -> None:
    await cast.one_of_each(cast.alice)
    async with database.transaction(cast.account_id) as tx:
        await tx.execute(update(deliveries).values(attempts=1))
        (delivery_id,) = (await tx.connection.execute(select(deliveries.c.id).limit(1))).scalars()
        attempt = {"delivery_id": delivery_id, "number": 1, "started_at": datetime.now(UTC)}
        await tx.execute(insert(delivery_attempts).values(account_id=cast.account_id, **attempt))
        await tx.execute(delete(psa_connections))
    before = await cast.all_rows()

    async with database.owning() as tx:
        await migrate.downgrade(tx, "0008")
        await migrate.upgrade(tx)
        broken = [] if tx.is_postgresql else list(await tx.connection.execute(text("PRAGMA integrity_check")))

    assert [row[0] for row in broken] in ([], ["ok"])
    assert await cast.all_rows() == before


async def test_keys_of_handoffs_outlast_the_step_to_keys_of_sessions_and_back(
    database: Database, cast: Cast
) -> None:
    session = await cast.start_session()
    new = NewHandoff(session_id=session.id, intent=HandoffIntent.PARK, idempotency_key="k1")
    now = datetime.now(UTC)
    async with database.transaction(cast.account_id) as tx:
        await handing_off.create(tx, cast.alice, new, now=now, grace=timedelta(0))
    before = await cast.all_rows()
    async with database.transaction(cast.account_id) as tx:
        await idempotency.use(tx, cast.alice.id, "k2", "of a session", session.id, at=now)

    async with database.owning() as tx:
        await migrate.downgrade(tx, "0012")
        await migrate.upgrade(tx)

    assert await cast.all_rows() == before


async def test_keys_that_are_there_know_who_made_them(database: Database, cast: Cast) -> None:
    now = datetime.now(UTC)
    async with database.transaction(cast.account_id) as tx:
        await api_keys.create_as_admin(tx, cast.adam, cast.alice.id, "Theirs", ApiKeyScope.FULL, now=now)
        await api_keys.create_as_admin(
            tx, cast.olivia, None, "Mine", ApiKeyScope.INGEST, now=now + timedelta(seconds=1)
        )
    await cast.make_key(cast.bob)
    before = await cast.all_rows()

    async with database.owning() as tx:
        await migrate.downgrade(tx, "0013")
        await migrate.upgrade(tx)

    assert await cast.all_rows() == before
